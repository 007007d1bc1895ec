// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/client"
)

// Example drains a real server, and waits until its last connection has ended.
func Example() {
	socket, end := director()
	defer end()
	ctx := context.Background()

	c := client.New(socket) // /run/tandem/control.sock
	status, err := c.Status(ctx)
	if errors.Is(err, client.ErrNoDirector) {
		fmt.Println("start tandem first")
		return
	} else if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range status.VRRP {
		fmt.Println(status.Name, "is", r.State, "of", r.Name)
	}

	pause := time.NewTicker(time.Millisecond) // a second, beside a real director
	defer pause.Stop()
	server, err := c.CommandServer(ctx, client.ServerCommand{Server: "www/192.0.2.11:80", Action: client.Drain})
	for err == nil && server.Connections > 0 {
		fmt.Println(server.Name, "drains, connections left:", server.Connections)
		<-pause.C
		server, err = c.Server(ctx, server.Name)
	}
	if err != nil {
		fmt.Println(err) // the director's own words
		return
	}
	fmt.Println(server.Name, "is drained")

	_, err = c.Failover(ctx, []string{"db"})
	fmt.Println(err)

	// Output:
	// lb1 is master of web
	// www/192.0.2.11:80 drains, connections left: 2
	// www/192.0.2.11:80 drains, connections left: 1
	// www/192.0.2.11:80 is drained
	// nobody took over db
}

// director stands for a running director. It returns the path of its control socket.
func director() (socket string, end func()) {
	dir, err := os.MkdirTemp("", "tandem-client")
	if err != nil {
		panic(err)
	}
	socket = filepath.Join(dir, "control.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		panic(err)
	}
	connections := 3
	answers := map[string]func() (int, any){
		"GET /v1/status": func() (int, any) {
			return http.StatusOK, client.Status{Name: "lb1", VRRP: []client.Router{{Name: "web", State: "master"}}}
		},
		"GET /v1/servers": func() (int, any) {
			connections--
			return http.StatusOK, client.ServerState{Name: "www/192.0.2.11:80", Connections: connections}
		},
		"POST /v1/failover": func() (int, any) {
			return http.StatusConflict, map[string]any{"problems": []string{"nobody took over db"}}
		},
	}
	answers["POST /v1/servers"] = answers["GET /v1/servers"]
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		code, body := answers[r.Method+" "+r.URL.Path]()
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(body)
	}))
	_ = s.Listener.Close()
	s.Listener = l
	s.Start()
	return socket, func() {
		s.Close()
		_ = os.RemoveAll(dir)
	}
}
