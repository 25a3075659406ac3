package source

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Cache is a folder of the controller that holds tarballs and builds, each
// under its sum. It can be removed at any time; what is in it is verified
// whenever it is used.
type Cache struct{ Dir string }

// DefaultCache is hapair's folder under $XDG_CACHE_HOME.
func DefaultCache() (Cache, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return Cache{}, fmt.Errorf("find the cache folder: %w", err)
	}
	return Cache{Dir: filepath.Join(dir, "hapair")}, nil
}

func (c Cache) tarball(sha256 string) string { return filepath.Join(c.Dir, "tarballs", sha256) }
func (c Cache) build(key string) string      { return filepath.Join(c.Dir, "artifacts", key+".tar.gz") }
func (c Cache) buildSum(key string) string   { return filepath.Join(c.Dir, "artifacts", key+".sha256") }

// Builds are the keys of the builds in the cache.
func (c Cache) Builds() (map[string]bool, error) {
	entries, err := os.ReadDir(filepath.Join(c.Dir, "artifacts"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("look into the cache: %w", err)
	}
	keys := make(map[string]bool)
	for _, e := range entries {
		// The sum is written last: a build without one never was complete.
		if key, ok := strings.CutSuffix(e.Name(), ".sha256"); ok {
			keys[key] = true
		}
	}
	return keys, nil
}

// temp is a new file that becomes path when it is complete. Remove it whatever
// happens; after a rename that does nothing.
func temp(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	return os.CreateTemp(filepath.Dir(path), ".new-*")
}

// put makes content the file at path, whole or not at all.
func put(path string, content []byte) error {
	f, err := temp(path)
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(content)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
