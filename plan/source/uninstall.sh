# Removes what install.sh put on a host, and its record.
#   uninstall.sh RECORD
# Of the folders below the prefix those that are empty then; the prefix itself
# is not the program's.
set -eu
[ -e "$1.sums" ] || exit 0
root=
[ ! -e "$1.stat" ] || read -r _ _ root <"$1.stat"
sed 's/^[0-9a-f]*  //' "$1.sums" | while IFS= read -r file; do
	rm -f -- "$file"
	dir=${file%/*}
	while [ -n "$root" ] && [ "$dir" != "$root" ] && rmdir -- "$dir" 2>/dev/null; do
		dir=${dir%/*}
	done
done
rm -f -- "$1.stat" "$1.sums"
