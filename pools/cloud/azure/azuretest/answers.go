package azuretest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// Answer is an error as Azure answers with it. Made here and by tests.
type Answer struct {
	Status     int
	Code       string
	Message    string
	Detail     string // code of the one detail; "" is none
	RetryAfter string // header; "" is none
	Source     string // where somebody published it; "" is written from Azure's documentation
}

// Error makes it an error, so that the official fakes pass it on.
func (a *Answer) Error() string { return fmt.Sprintf("%d %s: %s", a.Status, a.Code, a.Message) }

// answer is one written from Azure's documentation.
func answer(status int, code, format string, a ...any) *Answer {
	return &Answer{Status: status, Code: code, Message: fmt.Sprintf(format, a...)}
}

// response is the answer on the wire.
func (a *Answer) response(req *http.Request) *http.Response {
	type body struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Target  string `json:"target,omitempty"`
		Details []body `json:"details,omitempty"`
	}
	b := body{Code: a.Code, Message: a.Message}
	if a.Detail != "" {
		b.Details = []body{{Code: a.Detail, Message: a.Message, Target: "0"}}
	}
	text, err := json.Marshal(map[string]body{"error": b})
	if err != nil {
		panic("encode answer: " + err.Error()) // plain data: cannot happen
	}
	h := http.Header{"Content-Type": {"application/json; charset=utf-8"}}
	if a.RetryAfter != "" {
		h.Set("Retry-After", a.RetryAfter)
	}
	return &http.Response{Status: http.StatusText(a.Status), StatusCode: a.Status, Header: h, Request: req,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, ContentLength: int64(len(text)),
		Body: io.NopCloser(bytes.NewReader(text))}
}

// The answers that were published. Names in them are ours.
var (
	Quota = &Answer{Status: http.StatusConflict, Code: "OperationNotAllowed",
		Message: "Operation could not be completed as it results in exceeding approved Total Regional Cores quota. " +
			"Additional details - Deployment Model: Resource Manager, Location: KoreaSouth, Current Limit: 50, " +
			"Current Usage: 50, Additional Required: 2, (Minimum) New Limit Required: 52.",
		Source: "cloud-barista/cb-spider#1558"}
	NoSKU = &Answer{Status: http.StatusConflict, Code: "SkuNotAvailable",
		Message: "The requested size for resource '/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/" +
			"virtualMachines/m' is currently not available in location 'westus2' zones '' for subscription 's'. Please " +
			"try another size or deploy to a different location or zones. See https://aka.ms/azureskunotavailable for details.",
		Source: "microsoft/vscode-azurevirtualmachines#94"}
	NoRoom = &Answer{Status: http.StatusConflict, Code: "AllocationFailed",
		Message: "Allocation failed. We do not have sufficient capacity for the requested VM size in this region. Read " +
			"more about improving likelihood of allocation success at http://aka.ms/allocation-guidance",
		Source: "vmware-tanzu/community-edition#3963"}
	NoRoomInZone = &Answer{Status: http.StatusConflict, Code: "ZonalAllocationFailed",
		Message: "Allocation failed. We do not have sufficient capacity for the requested VM size in this zone. Read " +
			"more about improving likelihood of allocation success at http://aka.ms/allocation-guidance",
		Source: "openshift/release#5182"}
	Overconstrained = &Answer{Status: http.StatusConflict, Code: "OverconstrainedAllocationRequest",
		Message: "Allocation failed. VM(s) with the following constraints cannot be allocated, because the condition is " +
			"too restrictive. Please remove some constraints and try again. Constraints applied are:\n - Networking " +
			"Constraints (such as Accelerated Networking or IPv6)\n - VM Size\n",
		Source: "Azure-Samples/aks-store-demo#115"}
	NoRoomInDetails = &Answer{Status: http.StatusConflict, Code: "ResourceDeploymentFailure",
		Message: "The resource operation completed with terminal provisioning state 'Failed'.",
		Detail:  "AllocationFailed", Source: "Azure/azure-cli#2401"}
	TooMany = &Answer{Status: http.StatusTooManyRequests, Code: "OperationNotAllowed",
		Message: "The server rejected the request because too many requests have been received for this subscription.",
		Detail:  "TooManyRequests", Source: "hashicorp/terraform-provider-azurerm#19146"}
	AnotherOperation = &Answer{Status: http.StatusTooManyRequests, Code: "RetryableError",
		Message: "A retryable error occurred.", Detail: "RetryableErrorDueToAnotherOperation",
		Source: "pulumi/pulumi-azure-native#3720"}
	Reserved = &Answer{Status: http.StatusBadRequest, Code: "NicReservedForAnotherVm",
		Message: "Nic(s) in request is reserved for another Virtual Machine for 180 seconds. Please provide another " +
			"nic(s) or retry after 180 seconds. Reserved VM: /subscriptions/s/resourceGroups/g/providers/" +
			"Microsoft.Compute/virtualMachines/m", Source: "taskcluster/taskcluster#7196"}
	Locked = &Answer{Status: http.StatusConflict, Code: "ScopeLocked",
		Message: "The scope '/subscriptions/s/resourceGroups/g/m' cannot perform delete operation because following " +
			"scope(s) are locked: '/subscriptions/s/resourceGroups/g'. Please remove the lock and try again.",
		Source: "Azure/apiops#606"}
	BeingDeleted = &Answer{Status: http.StatusConflict, Code: "OperationNotAllowed",
		Message: "Operation 'startTenantUpdate' is not allowed on VM 'm' since the VM is marked for deletion. You can " +
			"only retry the Delete operation (or wait for an ongoing one to complete).",
		Source: "sassoftware/viya4-iac-azure#140"}
)

// Throttled is [TooMany] with a Retry-After, as the header says it.
func Throttled(retryAfter string) *Answer {
	a := *TooMany
	a.RetryAfter = retryAfter
	return &a
}
