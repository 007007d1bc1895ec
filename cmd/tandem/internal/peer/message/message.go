// SPDX-License-Identifier: Apache-2.0

// Package message defines what two directors tell each other, and how it is written. It does no input or output of its own.
//
// A message is four octets with the length of the rest, most significant first, and a JSON object with a kind:
//
//	{"kind": "alive", "sent": …}
//
// A director sends the whole of what the other may know, not changes: a message that is lost, repeated or late does no harm, and
// the latest one of a kind replaces those before. Unknown kinds and unknown members are ignored, and members that are missing
// have their zero value: so two versions understand each other as far as both know the same. Members are added, never renamed.
package message

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// Protocol is the version of the protocol. It grows only if an older director could not ignore what is new.
const Protocol = 1

// The limits of a message.
const (
	MaxHello = 4 << 10 // bytes of the first message, before the other director is known
	MaxSize  = 8 << 20 // bytes of any message
	MaxFacts = 50_000
	// MaxServers is the number of real servers whose health is told. 20,000 need about 2 MB.
	MaxServers = 20_000
	MaxOrders  = 20_000
	MaxRouters = 1_000
	MaxText    = 200 // bytes of a reason
)

// A Kind says what a message has.
type Kind string

// The kinds.
const (
	KindHello Kind = "hello"
	KindAlive Kind = "alive"
	KindFacts Kind = "facts"
	KindView  Kind = "view"
	// A director answers each ask. Only a director whose Hello has the ability is asked.
	KindAsk    Kind = "ask"
	KindAnswer Kind = "answer"
)

// A Message is one message. Only the member of its kind is set, and with each of them Clock may be.
type Message struct {
	Kind  Kind   `json:"kind"`
	Hello *Hello `json:"hello,omitempty"`
	Clock *Clock `json:"clock,omitempty"`
	Facts *Facts `json:"facts,omitempty"`
	View  *View  `json:"view,omitempty"`
	// Part is with KindAsk and KindAnswer.
	Part *Part `json:"part,omitempty"`
}

// A Hello is the first message in both directions.
type Hello struct {
	Protocol int    `json:"protocol"`
	Name     string `json:"name"`     // of the director
	Version  string `json:"version"`  // of tandem
	Instance string `json:"instance"` // random, of the process: a director that hears its own is connected to itself
	// Proof shows that the sender has the key, if certificates are used too.
	Proof []byte `json:"proof,omitempty"`
	// Can are the questions that the sender answers. A director of an older version has none.
	Can []Ability `json:"can,omitempty"`
}

// A Clock has the readings of wall clocks that show how two of them differ, in nanoseconds since 1970.
type Clock struct {
	Sent int64 `json:"sent"` // by the sender's clock
	// Echo is the Sent of the latest message that the sender has heard, and Heard is when by the sender's clock. 0: none.
	Echo  int64 `json:"echo,omitempty"`
	Heard int64 `json:"heard,omitempty"`
}

// Facts are what must be equal in the configurations of both directors, or should.
type Facts struct {
	Name   string `json:"name"`   // of the director
	SHA256 string `json:"sha256"` // of the file
	All    []Fact `json:"all"`
	Left   int    `json:"left,omitempty"` // facts beyond MaxFacts, that are not told
}

// A Fact is one setting. Values of secrets are told as sums.
type Fact struct {
	Object string `json:"o"` // "virtual router web"
	Key    string `json:"k"` // "advert_interval"; empty: the object exists
	Value  string `json:"v,omitempty"`
}

// A View is what a director sees, and the orders that it knows.
type View struct {
	Routers []Router `json:"routers,omitempty"`
	Servers []Server `json:"servers,omitempty"`
	// ServersLeft counts the real servers beyond MaxServers, whose health is not told.
	ServersLeft int     `json:"servers_left,omitempty"`
	Orders      []Order `json:"orders,omitempty"`
	OrdersLeft  int     `json:"orders_left,omitempty"`
	// Behind says that the kernel's table does not have everything yet that Orders say. Trouble is why, if that lasts.
	Behind  bool   `json:"behind,omitempty"`
	Trouble string `json:"trouble,omitempty"`
	// Counted says that Servers have their numbers of connections. A director of an older version never counts.
	Counted bool `json:"counted,omitempty"`
}

// A Router is the role of a virtual router.
type Router struct {
	Name     string    `json:"name"`
	Family   uint8     `json:"family"`
	State    string    `json:"state"`
	Priority uint8     `json:"priority"` // the effective one
	Standby  bool      `json:"standby,omitempty"`
	Since    time.Time `json:"since"`
	// Waits says that the sender does not take over before it has the other director's connections: so the other one is asked to count
	// its own. Absent: the sender does not wait, or is of an older version.
	Waits *Waits `json:"waits,omitempty"`
}

// Waits are the connections that a director waits for. Without Of, it knows of none yet.
type Waits struct {
	Have int `json:"have,omitempty"`
	Of   int `json:"of,omitempty"`
}

// A Server is how a director sees a real server.
type Server struct {
	Name   string `json:"name"`             // SERVICE/ADDRESS:PORT
	Health string `json:"health,omitempty"` // "unhealthy", "unknown" or "unchecked"; empty: healthy
	// With unhealthy, why and since when by the sender's clock.
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since,omitzero"`
	// Unanswered says that it does not answer the clients of the sender; absent: it does, or the sender does not know.
	Unanswered *Unanswered `json:"unanswered,omitempty"`
	// Established counts its established connections in the kernel's table of the sender, if the View is Counted.
	Established int `json:"established,omitempty"`
}

// An Unanswered says how many connections of clients a real server has not answered, and what share of theirs the other servers of
// its service have answered meanwhile.
type Unanswered struct {
	Connections   int       `json:"n"`
	OthersPercent int       `json:"others"`
	Since         time.Time `json:"since"` // by the sender's clock
}

// An Order is the latest order about a real server. An order that undoes another one has neither Drained, Disabled nor Weight.
type Order struct {
	Server   string `json:"server"`
	Drained  bool   `json:"drained,omitempty"`
	Disabled bool   `json:"disabled,omitempty"`
	Weight   *int   `json:"weight,omitempty"`
	// Number and By say which of two orders about a server is the later one: that with the larger number. If both numbers are
	// equal, it is that of the director whose name comes later. A Number of 0 is an order without number, that is only shown.
	Number uint64 `json:"number,omitempty"`
	By     string `json:"by,omitempty"`
	Local  bool   `json:"local,omitempty"` // only for the sender: --local
	// Unknown is why the sender cannot carry out an order that it was told. Then it is not in force there.
	Unknown string `json:"unknown,omitempty"`
}

// A Violation is a message that is not one.
type Violation struct{ Problem string }

func (v *Violation) Error() string { return v.Problem }

func violation(format string, args ...any) error { return &Violation{fmt.Sprintf(format, args...)} }

// Encode returns a message as it is sent. If it is too long, the last of its facts, servers or orders are left out and counted.
func Encode(m Message) ([]byte, error) {
	text, err := json.Marshal(m)
	for err == nil && len(text) > MaxSize && m.shorten(len(text)) {
		text, err = json.Marshal(m)
	}
	if err != nil {
		return nil, fmt.Errorf("failed to write a message: %w", err)
	}
	if len(text) > MaxSize {
		return nil, fmt.Errorf("a message of kind %s has %d bytes: at most %d can be sent", m.Kind, len(text), MaxSize)
	}
	return append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(text)), uint32(len(text))), text...), nil
}

// shorten leaves out a part of a message of that size, and reports whether there was anything to leave out. The message gets a copy
// of its content: others may use the same.
func (m *Message) shorten(size int) bool {
	keep := func(n int) int { return int(int64(n) * (MaxSize / 10 * 9) / int64(size)) }
	switch {
	case m.Facts != nil && len(m.Facts.All) > 0:
		f := *m.Facts
		f.All = f.All[:keep(len(f.All))]
		f.Left += len(m.Facts.All) - len(f.All)
		m.Facts = &f
	case m.View != nil && len(m.View.Servers)+len(m.View.Orders) > 0:
		v := *m.View
		v.Servers, v.Orders = v.Servers[:keep(len(v.Servers))], v.Orders[:keep(len(v.Orders))]
		v.ServersLeft += len(m.View.Servers) - len(v.Servers)
		v.OrdersLeft += len(m.View.Orders) - len(v.Orders)
		m.View = &v
	default:
		return false
	}
	return true
}

// ReadLength reads the length of the next message.
func ReadLength(r io.Reader, most int) (int, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n < 2 || uint64(n) > uint64(most) {
		return 0, violation("a message of %d bytes: want 2 to %d", n, most)
	}
	return int(n), nil
}

// ReadBody reads the rest of a message. It takes memory only for what has arrived.
func ReadBody(r io.Reader, length int) (Message, error) {
	text, err := io.ReadAll(io.LimitReader(r, int64(length)))
	if err != nil {
		return Message{}, err
	}
	if len(text) < length {
		return Message{}, io.ErrUnexpectedEOF
	}
	return Decode(text)
}

// Decode reads the JSON of a message, and refuses what breaks a limit. An unknown kind is no error: the message has that kind,
// and nothing else.
func Decode(text []byte) (Message, error) {
	var m Message
	if err := json.Unmarshal(text, &m); err != nil {
		return Message{}, violation("a message that is not JSON of the protocol: %v", err)
	}
	switch {
	case m.Kind == KindHello && m.Hello == nil, m.Kind == KindFacts && m.Facts == nil, m.Kind == KindView && m.View == nil,
		(m.Kind == KindAsk || m.Kind == KindAnswer) && m.Part == nil:
		return Message{}, violation("a message of kind %s without its content", m.Kind)
	}
	if m.Kind != KindHello {
		m.Hello = nil
	}
	if m.Kind != KindFacts {
		m.Facts = nil
	}
	if m.Kind != KindView {
		m.View = nil
	}
	if m.Kind != KindAsk && m.Kind != KindAnswer {
		m.Part = nil
	}
	return m, m.check()
}

// check refuses a message that breaks a limit, and cuts what is too long.
func (m *Message) check() error {
	if h := m.Hello; h != nil {
		if h.Protocol < 1 || h.Name == "" {
			return violation("a hello without protocol or name")
		}
		cut(&h.Name, &h.Version, &h.Instance)
		if len(h.Can) > maxAble {
			return violation("%d abilities: want at most %d", len(h.Can), maxAble)
		}
	}
	if f := m.Facts; f != nil {
		if len(f.All) > MaxFacts {
			return violation("%d facts: want at most %d", len(f.All), MaxFacts)
		}
		for i := range f.All {
			cut(&f.All[i].Object, &f.All[i].Key)
		}
		cut(&f.SHA256, &f.Name)
	}
	if p := m.Part; p != nil {
		if err := p.check(); err != nil {
			return err
		}
	}
	if m.View == nil {
		return nil
	}
	return m.View.check()
}

// check refuses a view that breaks a limit, and cuts what is too long.
func (v *View) check() error {
	switch {
	case len(v.Routers) > MaxRouters:
		return violation("%d virtual routers: want at most %d", len(v.Routers), MaxRouters)
	case len(v.Servers) > MaxServers:
		return violation("%d real servers: want at most %d", len(v.Servers), MaxServers)
	case len(v.Orders) > MaxOrders:
		return violation("%d orders: want at most %d", len(v.Orders), MaxOrders)
	}
	for i := range v.Routers {
		cut(&v.Routers[i].Name, &v.Routers[i].State)
		if w := v.Routers[i].Waits; w != nil && (w.Have < 0 || w.Have > w.Of) {
			return violation("a virtual router with %d of %d connections: want 0 to all of them", w.Have, w.Of)
		}
	}
	for i := range v.Servers {
		cut(&v.Servers[i].Name, &v.Servers[i].Health, &v.Servers[i].Reason)
		if n := v.Servers[i].Established; n < 0 || n > maxEstablished {
			return violation("a real server with %d connections: want 0 to %d", n, maxEstablished)
		}
		if n := v.Servers[i].Unanswered; n != nil && (n.Connections < 0 || n.OthersPercent < 0 || n.OthersPercent > 100) {
			return violation("%d connections without an answer, and %d %% with one: want 0 or more, and 0 to 100", n.Connections, n.OthersPercent)
		}
	}
	for i := range v.Orders {
		if v.Orders[i].Number > MaxNumber {
			return violation("an order with the number %d: want at most %d", v.Orders[i].Number, uint64(MaxNumber))
		}
		if w := v.Orders[i].Weight; w != nil && (*w < 0 || *w > maxWeight) {
			return violation("an order with the weight %d: want 0 to %d", *w, maxWeight)
		}
		cut(&v.Orders[i].Server, &v.Orders[i].By, &v.Orders[i].Unknown)
	}
	cut(&v.Trouble)
	return nil
}

// MaxNumber is the largest number of an order: one that is larger would leave no room for later orders.
const MaxNumber = 1 << 53

const maxWeight = 65535

// maxEstablished is the largest number of connections of a real server. The sum of all servers fits into an int.
const maxEstablished = 1 << 31

// cut shortens texts of the other director that are longer than it may write, and replaces what a terminal could obey.
func cut(texts ...*string) {
	for _, t := range texts {
		*t = Text(*t)
	}
}
