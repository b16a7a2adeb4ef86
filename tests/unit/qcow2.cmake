# SPDX-License-Identifier: MIT
unit_test(qcow2_order LINKS workloads engine injector traces)
