#!/bin/sh
# Removes the files named on standard input, one a line; those that are not
# there are no error. A directory is refused.
set -eu
while IFS= read -r path; do
	rm -f -- "$path"
done
