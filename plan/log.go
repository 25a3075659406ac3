package plan

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sync"
)

// logFile is where the output of a step goes: a file on the controller, and the
// last lines in memory, for an error. Without one opened it keeps nothing.
type logFile struct {
	mu   sync.Mutex
	path string
	f    *os.File
	tail []byte
}

const tailKept = 8 << 10 // bytes

// defaultLogs is hapair's folder under $XDG_STATE_HOME.
func defaultLogs() (string, error) {
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "hapair", "logs"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find the folder of logs: %w", err)
	}
	return filepath.Join(home, ".local", "state", "hapair", "logs"), nil
}

var notInName = regexp.MustCompile(`[^A-Za-z0-9._-]`)

// open begins the log called name, instead of an earlier one of that name.
func (l *logFile) open(dir, name string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	path := filepath.Join(dir, notInName.ReplaceAllString(name, "_")+".log")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.path, l.f, l.tail = path, f, nil
	return nil
}

func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tail = append(l.tail, p...)
	if len(l.tail) > 2*tailKept {
		l.tail = append(l.tail[:0], l.tail[len(l.tail)-tailKept:]...)
	}
	if l.f == nil {
		return len(p), nil
	}
	return l.f.Write(p)
}

func (l *logFile) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f == nil {
		return nil
	}
	err := l.f.Close()
	l.f = nil
	return err
}

// last are the last lines, n of them at most.
func (l *logFile) last(n int) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return lastLines(l.tail, n)
}

func lastLines(text []byte, n int) []string {
	var all []string
	for line := range bytes.Lines(text) {
		if line = bytes.TrimRight(line, " \r\n"); len(line) > 0 {
			all = append(all, string(line))
		}
	}
	return all[max(0, len(all)-n):]
}
