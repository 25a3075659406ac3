package remote

import "time"

// SetBecomeTimeout shortens what sudo has to answer, and says how to undo it.
func SetBecomeTimeout(d time.Duration) (undo func()) {
	old := becomeTimeout
	becomeTimeout = d
	return func() { becomeTimeout = old }
}

// SetLockLease shortens how long a host believes in a silent holder of its lock,
// and says how to undo it.
func SetLockLease(d time.Duration) (undo func()) {
	old := lockLease
	lockLease = d
	return func() { lockLease = old }
}
