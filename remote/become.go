package remote

// Become says how a login user gets root's rights.
type Become struct {
	Method   string // "sudo", "doas", or "none" (also ""): the login user is used as it is
	Password string // what sudo asks for; empty where it asks for nothing
}

// Sudo is h with root's rights: what it runs and uploads is root's. A host
// whose login user is root already needs none of it and is used as it is.
func Sudo(h Host, b Become) Host {
	if b.Method == "" || b.Method == "none" {
		return h
	}
	return &become{Host: h, how: b}
}

type become struct {
	Host
	how Become
}
