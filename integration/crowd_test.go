// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// A crowd opens connections at an interval, and counts them.
type crowd struct {
	first                    time.Time
	opened, answered, failed atomic.Int64
	stop                     func()
}

// visit opens a connection to a port of the VIP at an interval, until stopped. It waits for none before it opens the next.
func visit(client *lab.Host, port int, every time.Duration) *crowd {
	c, end := &crowd{first: time.Now()}, make(chan struct{})
	var open sync.WaitGroup
	open.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-end:
				return
			case <-ticker.C:
			}
			c.opened.Add(1)
			open.Go(func() {
				err := client.Do(func() error {
					conn, err := net.DialTimeout("tcp", fmt.Sprintf("%s:%d", lab.VIP, port), 3*time.Second)
					if err == nil {
						err = conn.Close()
					}
					return err
				})
				if err != nil {
					c.failed.Add(1)
				} else {
					c.answered.Add(1)
				}
			})
		}
	})
	c.stop = sync.OnceFunc(func() { close(end); open.Wait() })
	return c
}
