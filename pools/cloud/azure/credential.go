package azure

import (
	"fmt"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// NewCredential is who the controller is to Azure. Kind "workload-identity" is a
// federated token of the cluster's, "managed-identity" the identity of the
// machine that the controller runs on, and "default" whatever the SDK's chain
// finds, for a person at a terminal. clientID chooses one of several identities
// and may be empty. None of them is a secret in a file of ours.
func NewCredential(kind, clientID string) (azcore.TokenCredential, error) {
	var c azcore.TokenCredential
	var err error
	switch kind {
	case "default":
		c, err = azidentity.NewDefaultAzureCredential(nil)
	case "workload-identity":
		c, err = azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{ClientID: clientID})
	case "managed-identity":
		o := &azidentity.ManagedIdentityCredentialOptions{}
		if clientID != "" {
			o.ID = azidentity.ClientID(clientID)
		}
		c, err = azidentity.NewManagedIdentityCredential(o)
	default:
		err = fmt.Errorf("kind is %q, want default, workload-identity or managed-identity", kind)
	}
	if err != nil {
		return nil, fmt.Errorf("open azure credential: %w", err)
	}
	return c, nil
}
