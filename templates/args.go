package templates

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// quoteArg writes text as one argument of redis.conf or of redis-cli's input.
func quoteArg(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// splitArgs reads the arguments of one line as Redis does (sdssplitargs): apart
// by blanks, "…" with escapes, '…' with \' only.
func splitArgs(line string) ([]string, error) {
	if strings.ContainsAny(line, "\x00\r\n") {
		return nil, errors.New("a directive is one line, without zero bytes")
	}
	args := []string{}
	for {
		line = strings.TrimLeft(line, " \t\v\f")
		if line == "" {
			return args, nil
		}
		arg, rest, err := cutArg(line)
		if err != nil {
			return nil, err
		}
		args, line = append(args, arg), rest
	}
}

func cutArg(line string) (arg, rest string, err error) {
	quote := line[0]
	if quote != '"' && quote != '\'' {
		end := strings.IndexAny(line, " \t\v\f")
		if end < 0 {
			end = len(line)
		}
		if strings.ContainsAny(line[:end], `"'`) {
			return "", "", errors.New("quote the whole argument, not a part of it")
		}
		return line[:end], line[end:], nil
	}
	var b strings.Builder
	for i := 1; i < len(line); i++ {
		switch c := line[i]; {
		case c == quote:
			rest = line[i+1:]
			if rest != "" && !strings.ContainsAny(rest[:1], " \t\v\f") {
				return "", "", errors.New("a closing quote must end the argument")
			}
			return b.String(), rest, nil
		case c == '\\' && quote == '"' && i+3 < len(line) && line[i+1] == 'x':
			n, err := strconv.ParseUint(line[i+2:i+4], 16, 8)
			if err != nil {
				return "", "", errors.New(`\x takes two hexadecimal digits`)
			}
			b.WriteByte(byte(n))
			i += 3
		case c == '\\' && i+1 < len(line) && (quote == '"' || line[i+1] == '\''):
			i++
			b.WriteByte(unescaped(line[i], quote))
		default:
			b.WriteByte(c)
		}
	}
	return "", "", errors.New("a quote is not closed")
}

// unescaped is what stands for \c.
func unescaped(c, quote byte) byte {
	if quote == '"' {
		if i := strings.IndexByte("nrtba", c); i >= 0 {
			return "\n\r\t\b\a"[i]
		}
	}
	return c
}
