#!/bin/sh
# Runs a command as root, as the login user may.
#   become.sh METHOD MARK COMMAND...
# MARK is a random word. On standard error this prints, each once,
#   MARK:start         the login shell has come this far
#   MARK:ready:GROUP   the command starts now, as root, in process group GROUP
# and sudo asks for the password, where it was told that there is one
# (METHOD sudo-password), with the prompt MARK:password, on standard input.
# METHOD none runs it as the login user. So the reader knows whose words it
# reads, and whose input it writes.
set -eu
method=$1
mark=$2
shift 2
printf '%s:start;' "$mark" >&2
# The reader knows what sudo says in English only.
LC_ALL=C
export LC_ALL

# shellcheck disable=SC2016 # for the inner shell, which is root's
announce='read -r _ _ _ _ group _ </proc/self/stat || group=0
printf "%s:ready:%s;" "$1" "$group" >&2
shift
exec "$@"'
set -- sh -c "$announce" sh "$mark" "$@"

if [ "$method" = none ] || [ "$(id -u)" = 0 ]; then
	exec "$@"
fi
case $method in
sudo) exec sudo -n -- "$@" ;;
sudo-password) exec sudo -S -p "$mark:password;" -- "$@" ;;
doas) exec doas -n -- "$@" ;;
esac
printf 'unknown way to become root: %s\n' "$method" >&2
exit 2
