package topic

// Group builds the names that several devices share. The zero value is not useful; make one with NewGroup.
type Group struct {
	name string
	base string // "siskin/pool-<name>/"
}

// NewGroup checks the name, which follows the rules of a device's.
func NewGroup(name string) (Group, error) {
	if err := CheckDevice(name); err != nil {
		return Group{}, err
	}
	return Group{name: name, base: Root + "/pool-" + name + "/"}, nil
}

// Prompt is where requests come in that any device of the group may answer.
func (g Group) Prompt() string { return g.base + "prompt" }

// Filter is the subscription by which the devices share them (MQTT 5, section 4.8.2; mosquitto and others know it in 3.1.1).
func (g Group) Filter() string { return "$share/" + g.name + "/" + g.Prompt() }

// Accepted is where the acceptance of a request goes.
func (g Group) Accepted(id string) string { return g.base + "accepted/" + id }

// Delta is where the pieces of an answer go.
func (g Group) Delta(id string) string { return g.base + "delta/" + id }

// Answer is where an answer goes.
func (g Group) Answer(id string) string { return g.base + "answer/" + id }
