package remotetest

import (
	"testing"

	"go.uber.org/goleak"

	"hapair/remote"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLocal(t *testing.T) {
	greeter := Greeter(t)
	Suite(t, func(t *testing.T) remote.Host { return NewLocal(t, "here") }, greeter)
}
