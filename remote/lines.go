package remote

import (
	"bytes"
	"strings"
)

// Lines is a writer that hands on what is written to it line by line, without
// the line breaks. A last line without one is handed on by Close. It is for
// one writer at a time, which is what Cmd.Stdout and Cmd.Stderr get.
type Lines struct {
	each func(line string)
	part []byte
}

// NewLines calls each for every line, in the writer's goroutine.
func NewLines(each func(line string)) *Lines { return &Lines{each: each} }

// maxLine bounds what a host that never ends its line can make us keep.
const maxLine = 64 << 10

func (l *Lines) Write(p []byte) (int, error) {
	n := len(p)
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			break
		}
		l.emit(append(l.part, p[:i]...))
		p = p[i+1:]
	}
	l.part = append(l.part, p...)
	if len(l.part) > maxLine {
		l.emit(l.part)
	}
	return n, nil
}

func (l *Lines) emit(line []byte) {
	l.each(strings.TrimSuffix(string(line), "\r"))
	l.part = l.part[:0]
}

// Close hands on what is left.
func (l *Lines) Close() error {
	if len(l.part) > 0 {
		l.emit(l.part)
	}
	return nil
}
