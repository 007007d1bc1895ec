// SPDX-License-Identifier: Apache-2.0

package bounded

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"
)

// Some clients connect and send nothing, stop in the middle of a request, or do not close the connection. They use a bounded
// number of descriptors, and others wait for them only for a while.
func TestHostileClients(t *testing.T) {
	const limit, clients = 8, 60
	for name, text := range map[string]string{
		"say nothing":       "",
		"stop half-way":     "GET / HTTP/1.1\r\nHost: ",
		"do not hang up":    "GET / HTTP/1.1\r\nHost: tandem\r\n\r\n",
		"send no body":      "POST / HTTP/1.1\r\nHost: tandem\r\nContent-Length: 10\r\n\r\n",
		"read nothing back": "GET /long HTTP/1.1\r\nHost: tandem\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				if r.URL.Path == "/long" {
					_, _ = w.Write(make([]byte, 32<<20))
				}
			})
			server, bounded := Limits{limit, 50 * time.Millisecond, 100 * time.Millisecond}.Server(handler, l)
			served := make(chan error, 1)
			go func() { served <- server.Serve(bounded) }()
			defer func() {
				_ = server.Close()
				<-served
			}()
			before := descriptors(t)
			for range clients {
				conn, err := net.Dial("tcp", l.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				if _, err := io.WriteString(conn, text); err != nil {
					t.Fatal(err)
				}
			}
			if held := descriptors(t) - before - clients; held > limit {
				t.Errorf("the server holds %d descriptors for %d clients, want at most %d", held, clients, limit)
			}
			// The limits are short, and this client has them too: on a busy machine it may need several attempts.
			client := http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
			for end := time.Now().Add(client.Timeout); ; {
				resp, err := client.Get(fmt.Sprintf("http://%s/", l.Addr()))
				if err == nil {
					_ = resp.Body.Close()
					break
				}
				if time.Now().After(end) {
					t.Fatalf("behind %d clients: %v", clients, err)
				}
			}
		})
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}
