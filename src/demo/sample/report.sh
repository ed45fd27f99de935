#!/bin/sh
# Prints an order file as a table, one line per row, with the total at the end.
# usage: sh src/report.sh FILE
set -eu

total=0
rows=0
while IFS=, read -r name quantity price; do
    [ "$name" = name ] && continue
    printf '%-12s %3d x %4d\n' "$name" "$quantity" "$price"
    total=$((total + quantity * price))
    rows=$((rows + 1))
done < "$1"
printf 'rows %d, total %d\n' "$rows" "$total"
