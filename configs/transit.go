package configs

// Transit is a key file that holds no secret but says where in Vault's transit
// engine an Ed25519 key is kept. Made by [ReadTransit]; the zero Transit names
// none.
type Transit struct {
	Address      string
	CA           string `path:"file"` // empty: the system's roots
	Namespace    string
	AuthMount    string
	Mount        string
	Key          string
	RoleIDFile   string `path:"file" json:"role_id_file"`
	SecretIDFile string `path:"file" json:"secret_id_file"`
}

// ReadTransit reads and checks a reference. Its error is *[Errors] unless the
// file could not be read at all.
func ReadTransit(path string) (Transit, error) { return read[Transit]("transit", path, nil) }
