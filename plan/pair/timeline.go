package pair

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"hapair/remote"
)

//go:embed timeline.sh
var timelineScript string

// Happening is one thing that happened on a host.
type Happening struct {
	At   time.Time `json:"at"`
	Host string    `json:"host"`
	By   string    `json:"by"` // a hook, "redis-start", "systemd", "keepalived"
	Text string    `json:"text"`
	// Seen are the other fields of a decision: what was seen, what was done.
	Seen map[string]string `json:"seen,omitempty"`
}

// Timeline is what happened on both hosts, by their state logs and journals, in
// its order: at most so many of either on each host.
func (p *Pair) Timeline(ctx context.Context, lines int) ([]Happening, error) {
	var mu sync.Mutex
	var all []Happening
	err := p.happenings(ctx, lines, false, func(h Happening) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, h)
	})
	sortByTime(all)
	return all, err
}

// settleTimelines is for what both hosts say of one moment to arrive.
const settleTimelines = 200 * time.Millisecond

// FollowTimeline is Timeline and then whatever happens until ctx ends. Each call of
// each has some of it, in its order.
func (p *Pair) FollowTimeline(ctx context.Context, lines int, each func([]Happening)) error {
	var mu sync.Mutex
	var fresh []Happening
	following, cancel := context.WithCancel(ctx)
	defer cancel()
	var showing sync.WaitGroup
	showing.Go(func() {
		tick := time.NewTicker(settleTimelines)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-following.Done():
				return
			}
			mu.Lock()
			now := fresh
			fresh = nil
			mu.Unlock()
			if len(now) > 0 {
				sortByTime(now)
				each(now)
			}
		}
	})
	err := p.happenings(ctx, lines, true, func(h Happening) {
		mu.Lock()
		defer mu.Unlock()
		fresh = append(fresh, h)
	})
	cancel()
	showing.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func sortByTime(all []Happening) {
	slices.SortStableFunc(all, func(a, b Happening) int { return a.At.Compare(b.At) })
}

// happenings has both hosts tell, at the same time.
func (p *Pair) happenings(ctx context.Context, lines int, follow bool, tell func(Happening)) error {
	var both errgroup.Group
	for i, host := range p.hosts {
		name := p.spec.Hosts[i].Name
		both.Go(func() error {
			follows := "no"
			var input io.Reader
			if follow {
				follows = "yes"
				end, open := io.Pipe()
				defer context.AfterFunc(ctx, func() { open.Close() })()
				defer open.Close()
				input = end
			}
			_, err := host.Run(ctx, remote.Cmd{
				Name: "read what has happened",
				Argv: []string{"sh", "-c", timelineScript, "timeline", strconv.Itoa(lines), follows,
					p.layout.StateLog(), p.layout.RedisUnit(), p.layout.KeepalivedUnit()},
				Stdin: input,
				Stdout: remote.NewLines(func(line string) {
					if h, ok := parseHappening(name, line); ok {
						tell(h)
					}
				}),
			})
			return err
		})
	}
	return both.Wait()
}

// parseHappening reads a line of timeline.sh.
func parseHappening(host, line string) (Happening, bool) {
	source, rest, _ := strings.Cut(line, " ")
	if source == "state" {
		return parseDecision(host, rest)
	}
	// "1766443112.360582 a Keepalived_vrrp[1400]: (VI_cache) Entering FAULT STATE"
	f := strings.SplitN(rest, " ", 4)
	if source != "journal" || len(f) != 4 {
		return Happening{}, false
	}
	seconds, err := strconv.ParseFloat(f[0], 64)
	if err != nil {
		return Happening{}, false
	}
	by, _, _ := strings.Cut(f[2], "[")
	if by == "Keepalived_vrrp" {
		by = "keepalived"
	}
	return Happening{At: time.UnixMicro(int64(seconds * 1e6)).UTC(), Host: host, By: by, Text: f[3]}, true
}

// parseDecision reads a line of the state log: an RFC 3339 time, and key=value
// pairs, of which msg is the last. Values with blanks are quoted.
func parseDecision(host, line string) (Happening, bool) {
	when, rest, _ := strings.Cut(line, " ")
	at, err := time.Parse(time.RFC3339, when)
	if err != nil {
		return Happening{}, false
	}
	h := Happening{At: at, Host: host, Text: rest}
	for rest != "" {
		key, value, ok := strings.Cut(rest, "=")
		if !ok {
			break
		}
		if quoted, err := strconv.QuotedPrefix(value); err == nil {
			rest = strings.TrimPrefix(value[len(quoted):], " ")
			value, _ = strconv.Unquote(quoted) // it is a quoted prefix
		} else {
			value, rest, _ = strings.Cut(value, " ")
		}
		switch key {
		case "by":
			h.By = value
		case "msg":
			h.Text = value
		case "host":
		default:
			if h.Seen == nil {
				h.Seen = map[string]string{}
			}
			h.Seen[key] = value
		}
	}
	return h, true
}

// String is a happening as one line, without its time.
func (h Happening) String() string { return fmt.Sprintf("%s %s: %s", h.Host, h.By, h.Text) }
