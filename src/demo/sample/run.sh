#!/bin/sh
# Runs every case: writes an order file, compares the last line of the report. usage: sh tests/run.sh
set -u
cd "$(dirname "$0")/.." || exit 2
file=$(mktemp)
trap 'rm -f "$file"' EXIT
passed=0
failed=0

# check NAME EXPECTED CONTENT: CONTENT is a printf format.
check() {
    printf "$3" > "$file"
    actual=$(sh src/report.sh "$file" | tail -n 1)
    if [ "$actual" = "$2" ]; then
        echo "ok    $1"
        passed=$((passed + 1))
    else
        echo "FAIL  $1: expected '$2', got '$actual'"
        failed=$((failed + 1))
    fi
}

check 'one row' 'rows 1, total 6' 'name,quantity,price\nbolt,2,3\n'
check 'two rows' 'rows 2, total 26' 'name,quantity,price\nbolt,2,3\nnut,4,5\n'
check 'last row without a trailing newline' 'rows 2, total 26' 'name,quantity,price\nbolt,2,3\nnut,4,5'

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
