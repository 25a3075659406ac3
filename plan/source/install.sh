# Installs a built program, or leaves what was there.
#   install.sh PRODUCT ID VERSION PREFIX STATE GROUP
# Standard input: what build.sh printed. The files go under PREFIX, root's,
# readable by GROUP; each is replaced by a rename, so that a running program
# keeps its own. Files of an earlier version that this one lacks are removed.
# STATE/PRODUCT.sums then lists the files, as sha256sum -c reads them, and
# STATE/PRODUCT.stat says what is installed ("ID VERSION PREFIX"), with the size
# and times of each program, by which the next look knows them without reading
# them.
set -eu
umask 022
LC_ALL=C
export LC_ALL
product=$1
id=$2
version=$3
prefix=$4
state=$5
group=$6

rm -rf -- "$prefix/.hapair-$product".*
stage=$(mktemp -d -- "$prefix/.hapair-$product.XXXXXXXX")
trap 'trap "" HUP INT TERM; cd / && rm -rf -- "$stage"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
cd -- "$stage"
tar --no-same-owner -xzf -
exec </dev/null

cd tree
sha256sum -c --quiet ../sums
for program in bin/* sbin/*; do
	if [ ! -f "$program" ] || [ ! -x "$program" ]; then continue; fi
	missing=$(ldd "$program" 2>/dev/null | sed -n 's/^[[:space:]]*\([^ ]*\) => not found.*/\1/p')
	if [ -n "$missing" ]; then
		printf '%s needs libraries that this host lacks: %s\n' "$program" "$(printf '%s' "$missing" | tr '\n' ' ')" >&2
		exit 1
	fi
done
find . -type d -exec chmod 755 -- {} +
find . ! -type d -exec chown -h "root:$group" -- {} +
find . -type f -exec chmod o= -- {} +

# From here on the old version is being replaced: until the new record stands,
# the old one no longer matches, and the next run begins anew.
find . -type d ! -name . | sort | while IFS= read -r dir; do
	[ -d "$prefix/$dir" ] || mkdir -- "$prefix/$dir"
done
find . ! -type d | while IFS= read -r file; do
	mv -fT -- "$file" "$prefix/$file"
done

sums=$state/$product.sums
while read -r sum file; do
	printf '%s  %s\n' "$sum" "$prefix/${file#./}"
done <../sums >"$sums.new"
files() { sed 's/^[0-9a-f]*  //' "$1"; }
if [ -e "$sums" ]; then
	read -r _ _ root <"$state/$product.stat" || root=
	files "$sums.new" >../files
	files "$sums" | grep -vxFf ../files | while IFS= read -r old; do
		rm -f -- "$old"
		dir=${old%/*}
		while [ -n "$root" ] && [ "$dir" != "$root" ] && rmdir -- "$dir" 2>/dev/null; do
			dir=${dir%/*}
		done
	done
fi
{
	printf '%s %s %s\n' "$id" "$version" "$prefix"
	files "$sums.new" | while IFS= read -r file; do
		[ ! -x "$file" ] || stat -c '%s %Y %Z %a %U:%G %n' -- "$file"
	done
} >"$state/$product.stat.new"
mv -f -- "$sums.new" "$sums"
mv -f -- "$state/$product.stat.new" "$state/$product.stat"
