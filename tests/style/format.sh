#!/bin/sh
# SPDX-License-Identifier: MIT
# Is every source laid out as .clang-format says?
#
# usage: format.sh SOURCE_DIR     exit 1: some are not; 77: cannot tell (skipped)
#        format.sh --self-test SOURCE_DIR
#
# Other versions of clang-format lay out differently: only the one named below counts.
version=14

checker=
for candidate in clang-format-$version clang-format; do
	if command -v $candidate >/dev/null && $candidate --version | grep -q "version $version\."; then
		checker=$candidate
		break
	fi
done
if [ -z "$checker" ]; then
	echo "clang-format $version is not installed: layout is not checked"
	exit 77
fi

# check DIRECTORY: every .c and .h in our folders
check() {
	cd "$1" || exit 2
	for folder in engine injector oracle traces workloads tests; do
		[ -d "$folder" ] && find -L "$folder" -name '*.[ch]' -print
	done | sort | xargs "$checker" --dry-run -Werror --style=file
}

if [ "$1" != --self-test ]; then
	check "${1:?usage: format.sh SOURCE_DIR}"
	exit $?
fi

scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/engine"
cp "$2/.clang-format" "$scratch/" || exit 2
printf 'int f(void)\n{\n\treturn 0;\n}\n' >"$scratch/engine/good.c"
if ! (check "$scratch"); then
	echo "self-test: a well laid out file was refused"
	exit 1
fi
printf 'int f(void) {\n  return 0; }\n' >"$scratch/engine/bad.c"
if (check "$scratch") 2>/dev/null; then
	echo "self-test: a badly laid out file was accepted"
	exit 1
fi
