#!/usr/bin/env bash
# The whole of hapair on two throw-away hosts of this machine. `make demo` runs
# it, after it has installed the tools and built bin/hapair.
set -euo pipefail
cd "$(dirname "$0")/.."

hapair=bin/hapair
spec=(-f examples/quickstart.hcl)
in_lab=("$hapair" lab exec "${spec[@]}" -- "$hapair")
# The next steps are ours to take.
export HAPAIR_IN_AUTOMATION=1

bold='' dim='' reset=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
	bold=$'\e[1m' dim=$'\e[2m' reset=$'\e[0m'
fi

# announce TITLE COMMAND... says what comes; run does it, too.
announce() {
	printf '\n%s── %s%s\n' "$bold" "$1" "$reset"
	shift
	printf '%s   $ %s%s\n\n' "$dim" "$*" "$reset"
}
run() {
	announce "$@"
	shift
	"$@"
}

run 'Upstream tarballs, from the Debian archive' "$hapair" lab sources "${spec[@]}"
run 'Two fresh hosts' "$hapair" lab up --recreate "${spec[@]}"
run 'What would change' "${in_lab[@]}" plan "${spec[@]}"
apply=("${in_lab[@]}" apply --auto-approve "${spec[@]}")
announce 'Make it so' "${apply[@]}"
"${apply[@]}" | tail -n 1 # the plan stands above already
run 'A second plan is empty' "${in_lab[@]}" plan --detailed-exitcode "${spec[@]}"
run 'The documented drills' "${in_lab[@]}" drill documented "${spec[@]}"
run 'How the pair stands' "${in_lab[@]}" status "${spec[@]}"

cat <<END

${bold}The pair is running. Three commands to try:${reset}
  ${in_lab[*]} status ${spec[*]} --watch
  ${in_lab[*]} drill kill-redis ${spec[*]}
  $hapair lab ssh ${spec[*]} a
${dim}It all goes with: $hapair lab down ${spec[*]}${reset}
END
