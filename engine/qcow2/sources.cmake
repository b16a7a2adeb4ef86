# SPDX-License-Identifier: MIT
set(qcow2_sources)
set(qcow2_headers)
