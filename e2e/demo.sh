#!/usr/bin/env bash
# The whole of hapair on two throw-away hosts of this machine. `make demo` runs
# it, after it has installed the tools and built bin/hapair.
set -euo pipefail
cd "$(dirname "$0")/.."

spec=examples/quickstart.hcl
hapair=bin/hapair
# The next steps are ours to take.
export HAPAIR_IN_AUTOMATION=1

bold='' dim='' reset=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
	bold=$'\e[1m' dim=$'\e[2m' reset=$'\e[0m'
fi

step() { printf '\n%s── %s%s\n%s   $ %s%s\n\n' "$bold" "$1" "$reset" "$dim" "$2" "$reset"; }
in_lab() { "$hapair" lab exec -f "$spec" -- "$hapair" "$@" -f "$spec"; }

step 'Upstream tarballs, from the Debian archive' "$hapair lab sources -f $spec"
"$hapair" lab sources -f "$spec"

step 'Two fresh hosts' "$hapair lab up -f $spec --recreate"
"$hapair" lab up -f "$spec" --recreate

step 'What would change' "$hapair plan -f $spec"
in_lab plan

step 'Make it so' "$hapair apply -f $spec --auto-approve"
# The plan was shown above; what remains is the progress, and the last line.
in_lab apply --auto-approve | tail -n 1

step 'A second plan is empty' "$hapair plan -f $spec --detailed-exitcode"
in_lab plan --detailed-exitcode

step 'The documented drills' "$hapair drill documented -f $spec"
in_lab drill documented

step 'How the pair stands' "$hapair status -f $spec"
in_lab status

cat <<END

${bold}The pair is running. Three commands to try:${reset}
  $hapair lab exec -f $spec -- $hapair status -f $spec --watch
  $hapair lab exec -f $spec -- $hapair drill kill-redis -f $spec
  $hapair lab ssh -f $spec a
${dim}$hapair lab down -f $spec removes all of it.${reset}
END
