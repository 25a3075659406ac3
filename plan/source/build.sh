# Builds a program from its source.
#   build.sh PRODUCT PARENT NAME PREFIX TEST ARGUMENT...
# Standard input: a .tar.gz with src/ (the source) and patches/ (001.patch, …).
# Standard output: a .tar.gz with tree/ (what belongs under PREFIX) and sums
# (its files, as sha256sum prints them). Standard error: what the tools say,
# and a line "hapair: STAGE" as each stage begins.
# It works in a new folder PARENT/NAME.*, which is gone afterwards, and PARENT
# with it unless somebody else builds there. What an interrupted build left
# under that name is removed, never used.
set -eu
umask 022
LC_ALL=C
export LC_ALL
product=$1
parent=$2
name=$3
prefix=$4
test=$5
shift 5
exec 3>&1 1>&2

stage() { printf 'hapair: %s\n' "$1"; }

mkdir -p -- "$parent"
rm -rf -- "$parent/$name".*
work=$(mktemp -d -- "$parent/$name.XXXXXXXX")
trap 'trap "" HUP INT TERM; cd / && rm -rf -- "$work" && rmdir -- "$parent" 2>/dev/null || :' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
cd -- "$work"

stage unpack
tar -xzf -
exec </dev/null
mkdir tree

cd src
for patch in ../patches/*; do
	[ -e "$patch" ] || continue
	stage "patch ${patch##*/}"
	patch -p1 --forward --batch <"$patch"
done

jobs=$(getconf _NPROCESSORS_ONLN) || jobs=1
case $product in
redis | valkey)
	stage compile
	make -j"$jobs" "$@"
	case $test in
	yes)
		stage test
		make test "$@"
		;;
	warn)
		stage test
		make test "$@" || stage 'test failed, tolerated'
		;;
	esac
	stage pack
	mkdir ../tree/bin
	for program in src/"$product"-*; do
		# Beside the programs lie their objects and the build's own scripts.
		case $program in *.o | *.d | *.sh | *.c) continue ;; esac
		if [ ! -f "$program" ] || [ ! -x "$program" ]; then continue; fi
		if [ "$program" != "src/$product-server" ] && cmp -s -- "$program" "src/$product-server"; then
			ln -s -- "$product-server" "../tree/bin/${program##*/}" # it looks at its name
		else
			cp -- "$program" ../tree/bin/
		fi
	done
	"../tree/bin/$product-server" --version
	;;
keepalived)
	stage configure
	./configure --prefix="$prefix" "$@" || {
		tail -n 40 config.log
		exit 1
	}
	stage compile
	make -j"$jobs"
	stage pack
	make install DESTDIR="$work/install"
	cp -R -- "$work/install$prefix/." ../tree/
	# The place of the live configuration; a host's own is not to be replaced.
	if [ -e ../tree/etc/keepalived/keepalived.conf ]; then
		mv -- ../tree/etc/keepalived/keepalived.conf ../tree/etc/keepalived/keepalived.conf-bak
	fi
	../tree/sbin/keepalived --version
	;;
*)
	printf 'unknown product: %s\n' "$product"
	exit 2
	;;
esac

cd ../tree
find . ! -type d -exec sha256sum -- {} + >../sums
cd ..
tar --owner=0 --group=0 -cf result.tar sums tree
gzip -1 result.tar
cat result.tar.gz >&3
