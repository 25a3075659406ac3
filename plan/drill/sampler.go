package drill

import (
	"context"
	"errors"
	"strconv"
	"time"

	"hapair/remote/redisctl"
)

const (
	sampleEvery = 10 * time.Millisecond
	// probeTTL is how long the key of a sampler's writes outlives it.
	probeTTL = 10 * time.Second
)

// sampler asks one host's Redis, at the host's own address, what it is and
// whether it takes a write. It uses two connections: a write that the server
// holds back must not hide what the server has become.
type sampler struct {
	track   *track
	clock   clock
	keys    keys
	connect func(Client) *redisctl.Client
}

// look samples what the server is until ctx ends.
func (s *sampler) look(ctx context.Context) {
	c := s.connect(Eager)
	defer c.Close()
	s.every(ctx, func() {
		info, err := c.Info(ctx)
		if errors.Is(err, redisctl.Lost) {
			// Only this connection is gone, perhaps; a new one will tell.
			info, err = c.Info(ctx)
		}
		at := s.clock.now()
		switch {
		case ctx.Err() != nil:
		case err == nil:
			s.track.sawServer(at, info)
		default:
			s.track.missedServer(at, unanswered(err), failure(err))
		}
	})
}

// write samples whether the server takes a write, until ctx ends. It tries
// only what calls itself a primary: a write that is let into a replica would
// stay there.
func (s *sampler) write(ctx context.Context) {
	c := s.connect(Eager)
	defer c.Close()
	n := 0
	s.every(ctx, func() {
		p := probe{sent: s.clock.now()}
		accepted := false
		if s.track.isPrimary() {
			n++
			_, err := c.Do(ctx, "SETEX", s.keys.probe(s.track.host), strconv.Itoa(int(probeTTL.Seconds())), n)
			accepted = err == nil
		}
		if ctx.Err() == nil {
			p.answered = s.clock.now()
			s.track.probed(p, accepted)
		}
	})
}

func (s *sampler) every(ctx context.Context, f func()) {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		f()
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// unanswered is the state of a server that did not tell its role.
func unanswered(err error) string {
	switch {
	case errors.Is(err, redisctl.Refused), errors.Is(err, redisctl.Lost):
		return "down"
	case errors.Is(err, redisctl.Timeout):
		return "silent"
	case errors.Is(err, redisctl.Loading):
		return "loading"
	case errors.Is(err, redisctl.Busy):
		return "busy"
	}
	return failure(err)
}
