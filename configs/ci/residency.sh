#!/bin/sh
# Holds a change of residency rules to what was agreed, before it is merged.
#
#   residency.sh OLD NEW CATALOGUE [--accept]
#
# OLD and NEW are directories of rules, as the branch to merge into has them and
# as the change leaves them; the cases lie beside NEW. Ends with burstctl's exit
# status: 1 a mistake or a case that fails, 3 something newly allowed that nobody
# accepted, or something that must never be. Reports are left in $REPORTS.
set -eu
old=$1 new=$2 catalogue=$3 accept=${4-}
reports=${REPORTS:-.}
burstctl residency check --rules "$new" --catalogue "$catalogue" --strict
burstctl residency test --rules "$new" --catalogue "$catalogue" -o junit >"$reports/residency.xml"
burstctl residency prove --rules "$new" --catalogue "$catalogue" \
  --csv "$reports/residency.csv" --svg "$reports/residency.svg" \
  --never 'class=special leaves EEA' \
  --never 'class>=personal & stage=proven leaves EEA'
burstctl residency diff "$old" "$new" --catalogue "$catalogue" ${accept:+--accept}
