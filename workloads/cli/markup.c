// SPDX-License-Identifier: MIT
#include "workloads/cli/markup.h"

#include <stdarg.h>

void markup_text(FILE *file, const char *text)
{
	for (; *text; text++)
		switch (*text) {
		case '<': fputs("&lt;", file); break;
		case '>': fputs("&gt;", file); break;
		case '&': fputs("&amp;", file); break;
		case '"': fputs("&quot;", file); break;
		case '\n':
		case '\t': fputc(*text, file); break;
		default: fputc(*text >= ' ' && *text <= '~' ? *text : '?', file); break;
		}
}

void markup_format(FILE *file, const char *format, ...)
{
	char text[1000];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	markup_text(file, text);
}
