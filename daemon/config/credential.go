package config

import (
	"path/filepath"
	"strings"
)

// credentialPrefix begins the value of a file setting that names a credential of the service manager instead of a path.
const credentialPrefix = "credential:"

// WithCredentials returns c with every "credential:NAME" among its file settings replaced by the path of that credential in
// folder, which is what systemd's CREDENTIALS_DIRECTORY says (systemd.exec(5), LoadCredential). Problems are reported together:
// there is no folder, or a name is not that of a file in it.
func (c Config) WithCredentials(folder string) (Config, error) {
	var k checker
	for _, f := range []struct {
		key  string
		path *string
	}{
		{"mqtt.password_file", &c.MQTT.PasswordFile},
		{"mqtt.ca_file", &c.MQTT.CAFile},
		{"mqtt.cert_file", &c.MQTT.CertFile},
		{"mqtt.key_file", &c.MQTT.KeyFile},
		{"mqtt.embedded.users_file", &c.MQTT.Embedded.UsersFile},
		{"mqtt.embedded.acl_file", &c.MQTT.Embedded.ACLFile},
		{"mqtt.embedded.cert_file", &c.MQTT.Embedded.CertFile},
		{"mqtt.embedded.key_file", &c.MQTT.Embedded.KeyFile},
		{"mqtt.embedded.client_ca_file", &c.MQTT.Embedded.ClientCAFile},
	} {
		name, ok := strings.CutPrefix(*f.path, credentialPrefix)
		switch {
		case !ok:
		case name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00"):
			k.add(f.key, "%q is not the name of a credential: write credential:NAME, with NAME as in LoadCredential=NAME:FILE", *f.path)
		case folder == "":
			k.add(f.key, "%s: no credentials were handed over; in the unit, write LoadCredential=%s:FILE", *f.path, name)
		default:
			*f.path = filepath.Join(folder, name)
		}
	}
	return c, join(k.found)
}
