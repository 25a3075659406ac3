package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"hapair/cmd/internal/view"
	"hapair/plan/facts"
	"hapair/plan/pair"
	"hapair/plan/spec"
	"hapair/remote"
)

// lockOptions are those of a command that changes hosts, and so has to be the
// only one.
type lockOptions struct{ wait time.Duration }

func (o *lockOptions) addFlags(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&o.wait, "lock-timeout", 30*time.Second, "wait so `LONG` for another run of hapair on these hosts to end")
}

// locks are held on the hosts of a command.
type locks struct {
	mu   sync.Mutex
	held []*heldLock
}

type heldLock struct {
	*remote.Lock
	host string
}

// lock keeps other runs of hapair off the hosts of s that answered.
func (c *connections) lock(ctx context.Context, v view.View, s *spec.Spec, command string, o lockOptions) (*locks, error) {
	defer v.Wait("Waiting for the lock")()
	l := &locks{}
	holder := holder(command)
	failures := make([]error, len(s.Pairs))
	var locking errgroup.Group
	locking.SetLimit(dialsAtOnce)
	for i, p := range s.Pairs {
		locking.Go(func() error {
			failures[i] = l.takeBoth(ctx, c, p, holder, o.wait)
			return nil
		})
	}
	locking.Wait()
	if err := errors.Join(failures...); err != nil {
		l.release()
		return nil, err
	}
	return l, nil
}

// takeBoth locks one host after the other, always in this order: two runs never
// have one each. What is wrong with the first host does not hide what is wrong
// with the second.
func (l *locks) takeBoth(ctx context.Context, c *connections, p *spec.Pair, holder string, wait time.Duration) error {
	var failures []error
	for _, h := range p.Hosts {
		host := c.hosts[facts.Ref{Pair: p.Name, Host: h.Name}]
		if host == nil {
			continue
		}
		err := l.take(ctx, host, pair.Layout(p).LockFile(), holder, wait)
		var locked *remote.LockedError
		if errors.As(err, &locked) {
			return err
		}
		failures = append(failures, err)
	}
	return errors.Join(failures...)
}

func (l *locks) take(ctx context.Context, h remote.Host, path, holder string, wait time.Duration) error {
	lock, err := remote.TakeLock(ctx, h, path, holder, wait)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = append(l.held, &heldLock{lock, h.String()})
	return nil
}

// during is ctx, as long as nobody takes a lock away.
func (l *locks) during(ctx context.Context) (_ context.Context, done func()) {
	ctx, stop := context.WithCancelCause(ctx)
	for _, lock := range l.held {
		broken := func() {
			stop(halt(fmt.Sprintf("the lock on %s was taken away: hapair unlock broke it, or the host heard nothing of this run for too long", lock.host)))
		}
		select {
		case <-lock.Broken():
			broken()
		default:
		}
		go func() {
			select {
			case <-lock.Broken():
				broken()
			case <-ctx.Done():
			}
		}()
	}
	return ctx, func() { stop(nil) }
}

func (l *locks) release() {
	var all sync.WaitGroup
	for _, lock := range l.held {
		all.Go(lock.Release)
	}
	all.Wait()
}

// holder says who runs which command, since when.
func holder(command string) string {
	who := "somebody"
	if u, err := user.Current(); err == nil {
		who = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		who += "@" + host
	}
	return fmt.Sprintf("hapair %s of %s, process %d, since %s", command, who, os.Getpid(), time.Now().UTC().Format("2006-01-02 15:04:05 UTC"))
}

type unlockOptions struct {
	pairOptions
	json bool
}

func newCmdUnlock(a *app, run func(*unlockOptions) error) *cobra.Command {
	o := &unlockOptions{}
	cmd := &cobra.Command{
		Use:     "unlock",
		GroupID: groupRun,
		Short:   "Take the lock away from a run that hangs",
		Long: `unlock ends the session of the run of hapair that has the lock on the hosts, and
says which one it was. That run then stops: where it stands, the next apply or
recover finds out. One that was killed, or lost its connection, needs no unlock:
the hosts free its lock by themselves, within half a minute at most.`,
		Example: `  hapair unlock`,
		Args:    noArguments,
		RunE: func(*cobra.Command, []string) error {
			if run != nil {
				return run(o)
			}
			return unlockRun(a, o)
		},
	}
	o.addFlags(cmd)
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON, one object a line")
	return cmd
}

func unlockRun(a *app, o *unlockOptions) error {
	v := a.show(o.json)
	s, err := o.load(v)
	if err != nil {
		return err
	}
	hosts := a.connect(a.stop.asked, s, v)
	defer hosts.close()
	var failures []error
	for _, p := range s.Pairs {
		for _, h := range p.Hosts {
			ref := facts.Ref{Pair: p.Name, Host: h.Name}
			if err := hosts.failed[ref]; err != nil {
				failures = append(failures, err)
				continue
			}
			was, err := remote.BreakLock(a.stop.asked, hosts.hosts[ref], pair.Layout(p).LockFile())
			if err != nil {
				failures = append(failures, err)
				continue
			}
			v.Unlocked(ref, was)
		}
	}
	return errors.Join(failures...)
}
