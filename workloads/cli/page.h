// SPDX-License-Identifier: MIT
/** The style sheets and the script of the pictures (`page/`), as they stand in the program. */
#ifndef WORKLOADS_CLI_PAGE_H
#define WORKLOADS_CLI_PAGE_H

/** Colours, light and dark; what the diagram looks like; what the page looks like. */
extern const char page_theme_css[];
extern const char page_chart_css[];
extern const char page_page_css[];

/** The keyboard, and what is said of the step in focus. */
extern const char page_page_js[];

#endif
