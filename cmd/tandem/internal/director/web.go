// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"encoding/json"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer/message"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/web"
)

// newWebServer returns the server of the page for browsers.
func newWebServer(log hclog.Logger, site *web.Site) *httpServer {
	log = log.Named("web")
	failed := func(err error) { log.Error("failed to serve the web page", "error", err) }
	return newHTTPServer(log, site.Handler(), web.Limits, "the web page is not served", failed)
}

// A webSource tells the web page what it shows.
type webSource struct{ *Director }

var _ web.Source = webSource{}

// PeerHistory asks the other director for its events.
func (s webSource) PeerHistory(ctx context.Context, q control.HistoryQuery) (events []control.Event, err error) {
	text, err := s.AskPeer(ctx, "the web page", message.AskHistory, q)
	if err == nil {
		err = json.Unmarshal(text, &events)
	}
	return events, err
}
