# Removes what install.sh put on a host, and its record.
#   uninstall.sh RECORD
# Folders stay: their owner removes them when they are empty.
set -eu
[ -e "$1.sums" ] || exit 0
sed 's/^[0-9a-f]*  //' "$1.sums" | while IFS= read -r file; do
	rm -f -- "$file"
done
rm -f -- "$1.stat" "$1.sums"
