package remote

import "time"

// SetBecomeTimeout shortens what sudo has to answer, and says how to undo it.
func SetBecomeTimeout(d time.Duration) (undo func()) {
	old := becomeTimeout
	becomeTimeout = d
	return func() { becomeTimeout = old }
}
