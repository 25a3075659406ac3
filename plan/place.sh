# Prepares or clears paths. Standard input, a line each:
#   dir MODE OWNER PATH      a folder with this mode and owner, made if need be
#   keep COPY PATH           copies PATH to COPY, which is not there yet
#   rmdir PATH               removes a folder, if it is empty
set -eu
umask 022
while read -r verb a b path; do
	case $verb in
	dir)
		mkdir -p -- "$path"
		chown -- "$b" "$path"
		chmod -- "$a" "$path"
		;;
	keep)
		# By a new name, so that an interrupted copy never passes for the whole.
		rm -f -- "$a.hapair"
		cp -p -- "$b" "$a.hapair"
		mv -- "$a.hapair" "$a"
		;;
	rmdir)
		[ ! -d "$a" ] || rmdir -- "$a" 2>/dev/null || :
		;;
	*)
		printf 'unknown: %s\n' "$verb" >&2
		exit 2
		;;
	esac
done
