package node

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
)

// gate opens or closes the way to Redis for whoever comes through the VIP: the
// port is in a set of the guard's rules, or not. Without these rules there is no
// gate: a client may then come back to a Redis that is about to lose the VIP, and
// waits in silence once it has.
func (h *host) gate(closed bool) error {
	if closed {
		if err := h.setMark(markGate, ""); err != nil {
			return err
		}
	}
	err := h.refuse(closed)
	switch {
	case closed:
		return nil // without a gate all else is still to be done
	case err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.EPROTONOSUPPORT):
		return fmt.Errorf("open the gate to the VIP: %w", err)
	}
	h.unmark(markGate)
	return nil
}

func (h *host) refuse(clients bool) error {
	kernel, err := nftables.New()
	if err != nil {
		return err
	}
	set := &nftables.Set{
		Table:   &nftables.Table{Name: h.Guard, Family: nftables.TableFamilyINet},
		Name:    "gate",
		KeyType: nftables.TypeInetService,
	}
	if clients {
		if err := kernel.SetAddElements(set, []nftables.SetElement{{Key: binaryutil.BigEndian.PutUint16(uint16(h.Port))}}); err != nil {
			return err
		}
	} else {
		kernel.FlushSet(set)
	}
	return kernel.Flush()
}
