// Package e2e tests hapair as a whole: on hosts in a lab, and what it renders
// before the programs that will read it. It needs root, and what
// remote/lab/install.sh installs.
package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"hapair/remote/lab"
	"hapair/remote/lab/sources"
)

func TestMain(m *testing.M) {
	lab.Reexec()
	if prefix := os.Getenv(undertakerVar); prefix != "" {
		signal.Ignore(syscall.SIGPIPE) // whoever reads our output may be gone, too
		io.Copy(io.Discard, os.Stdin)
		os.Exit(undertake(prefix))
	}
	os.Exit(run(m))
}

// ours begins the names of all labs and namespaces of this process.
var ours = fmt.Sprintf("e2e-%d-", os.Getpid())

// workDir is this process's, for what its tests share.
func workDir() string { return filepath.Join(os.TempDir(), "hapair-"+ours) }

func run(m *testing.M) (code int) {
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "These tests make hosts out of namespaces, which needs root.")
		return 1
	}
	if err := os.Mkdir(workDir(), 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	atEnd, err := startUndertaker()
	if err != nil {
		fmt.Fprintln(os.Stderr, "start what clears up behind the tests:", err)
		return 1
	}
	// A shell's background job has SIGINT ignored, and so would each hapair that
	// these tests start and interrupt.
	interrupt := make(chan os.Signal, 1)
	signal.Notify(interrupt, os.Interrupt)
	go func() {
		<-interrupt
		os.Exit(130)
	}()
	code = m.Run()
	printFigures(os.Stdout)
	os.RemoveAll(workDir())
	if err := atEnd(); err != nil && code == 0 {
		return 1
	}
	return code
}

// undertakerVar tells a process of this program to outlive the tests: to wait
// until they are gone, however they went (a timeout, Ctrl-C, kill -9), and to
// remove what they could not.
const undertakerVar = "HAPAIR_E2E_UNDERTAKER"

// startUndertaker returns what to call at the end of the tests. It fails when
// they have left something behind.
func startUndertaker() (atEnd func() error, err error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	undertaker := exec.Command(program)
	undertaker.Env = append(os.Environ(), undertakerVar+"="+ours)
	undertaker.Stderr = os.Stderr
	undertaker.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	alive, err := undertaker.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := undertaker.Start(); err != nil {
		return nil, err
	}
	return func() error {
		alive.Close()
		return undertaker.Wait()
	}, nil
}

// undertake removes what tests of this prefix have left, and returns 1 if there
// was anything.
func undertake(prefix string) (code int) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	report := func(what string, err error) {
		code = 1
		fmt.Fprintf(os.Stderr, "left behind by the tests, and removed: %s\n", what)
		if err != nil {
			fmt.Fprintf(os.Stderr, "remove %s: %v\n", what, err)
		}
	}
	labs, err := lab.List()
	if err != nil {
		report("labs", err)
	}
	for _, name := range labs {
		if strings.HasPrefix(name, prefix) {
			report("lab "+name, lab.Down(ctx, name))
		}
	}
	namespaces, _ := filepath.Glob("/run/netns/" + prefix + "*")
	for _, path := range namespaces {
		report("network namespace "+filepath.Base(path), removeNamespace(filepath.Base(path)))
	}
	dir := filepath.Join(os.TempDir(), "hapair-"+prefix)
	if _, err := os.Stat(dir); err == nil {
		report(dir, os.RemoveAll(dir))
	}
	return code
}

// removeNamespace removes a network namespace and what runs in it. A program
// may just be about to enter, so it is looked at until it stays empty.
func removeNamespace(name string) error {
	for empty := 0; empty < 5; time.Sleep(20 * time.Millisecond) {
		pids, err := exec.Command("ip", "netns", "pids", name).Output()
		if err != nil {
			return fmt.Errorf("list the processes in %s: %w", name, err)
		}
		for _, pid := range strings.Fields(string(pids)) {
			exec.Command("kill", "-KILL", pid).Run() // it may have ended
			empty = -1
		}
		empty++
	}
	return exec.Command("ip", "netns", "delete", name).Run()
}

// hapairProgram is hapair, built from this checkout, and beside it hapair-node.
var hapairProgram = sync.OnceValues(func() (string, error) {
	path := filepath.Join(workDir(), "hapair")
	if out, err := exec.Command("go", "build", "-o", path, "../cmd/hapair").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build hapair: %w\n%s", err, out)
	}
	node := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path+"-node-linux-"+runtime.GOARCH, "../cmd/hapair-node")
	node.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := node.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build hapair-node: %w\n%s", err, out)
	}
	return path, nil
})

// sourcesDir is the folder with the tarballs that the specs of these tests
// name, from the Debian archive.
var sourcesDir = sync.OnceValues(func() (string, error) {
	dir, err := sources.Dir()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	_, err = sources.Fetch(ctx, dir, sources.Stable...)
	var missing *sources.MissingError
	if errors.As(err, &missing) {
		err = fmt.Errorf("%w: these tests need it", err)
	}
	return dir, err
})
