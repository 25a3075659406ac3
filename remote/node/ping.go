package node

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"time"
)

const (
	// pingTimeout is for the gateway to answer; it is asked again every pingAgain,
	// as a packet may get lost.
	pingTimeout = 100 * time.Millisecond
	pingAgain   = 40 * time.Millisecond
)

// pings reports whether addr answers an ICMP echo (RFC 792, RFC 4443). The error
// says why nobody can tell.
func pings(ctx context.Context, addr netip.Addr) (bool, error) {
	network, request, reply := "ip4:icmp", byte(8), byte(0)
	if addr.Is6() {
		network, request, reply = "ip6:ipv6-icmp", 128, 129
	}
	conn, err := (&net.ListenConfig{}).ListenPacket(ctx, network, "")
	if err != nil {
		return false, err
	}
	defer conn.Close()
	end := time.Now().Add(pingTimeout)
	id := uint16(os.Getpid())
	buf := make([]byte, 512)
	for n := uint16(0); time.Now().Before(end); n++ {
		if _, err := conn.WriteTo(echo(request, id, n), &net.IPAddr{IP: addr.AsSlice()}); err != nil {
			return false, nil // no route: it is not there
		}
		if err := conn.SetReadDeadline(time.Now().Add(pingAgain)); err != nil {
			return false, err
		}
		for {
			size, from, err := conn.ReadFrom(buf)
			if err != nil {
				break // the next try
			}
			at, ok := netip.AddrFromSlice(from.(*net.IPAddr).IP)
			if ok && at.Unmap() == addr && size >= 8 && buf[0] == reply && binary.BigEndian.Uint16(buf[4:]) == id {
				return true, nil
			}
		}
	}
	return false, nil
}

// echo is a request. The kernel fills in the sum of ICMPv6.
func echo(kind byte, id, n uint16) []byte {
	m := []byte{kind, 0, 0, 0, 0, 0, 0, 0}
	binary.BigEndian.PutUint16(m[4:], id)
	binary.BigEndian.PutUint16(m[6:], n)
	sum := uint32(0)
	for i := 0; i < len(m); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(m[i:]))
	}
	sum = sum>>16 + sum&0xffff
	binary.BigEndian.PutUint16(m[2:], ^uint16(sum+sum>>16))
	return m
}
