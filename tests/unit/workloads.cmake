# SPDX-License-Identifier: MIT
unit_test(language LINKS workloads)
unit_test(budget LINKS workloads)
unit_test(guest LINKS workloads)
unit_test(world LINKS workloads)
unit_test(explore LINKS workloads)
unit_test(json LINKS cli)
unit_test(story LINKS cli)
