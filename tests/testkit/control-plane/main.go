// Command control-plane is etcd, kube-apiserver, kube-controller-manager and kubectl in one binary.
//
// The name it is called by (a link) or else its first argument says which of them it is. One binary, because the four
// share most of their code: one link step and 130 MB instead of four and 400.
//
// With CONTROL_PLANE_GUARD=1 a server ends when its standard input does, so that it cannot outlive the process that
// holds the other end of the pipe, however that one ends.
package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

var programs = map[string]func(){
	"etcd": func() {
		guard()
		etcdmain.Main(os.Args)
	},
	"kube-apiserver": func() {
		guard()
		os.Exit(cli.Run(apiserver.NewAPIServerCommand()))
	},
	"kube-controller-manager": func() {
		guard()
		os.Exit(cli.Run(controllermanager.NewControllerManagerCommand()))
	},
	// Never guarded: its standard input is a manifest (`kubectl apply -f -`).
	"kubectl": func() {
		kubectlutil.CheckErr(cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()))
	},
}

func main() {
	program, found := programs[filepath.Base(os.Args[0])]
	if !found && len(os.Args) > 1 {
		os.Args = os.Args[1:]
		program, found = programs[os.Args[0]]
	}
	if !found {
		fmt.Fprintln(os.Stderr, "usage: control-plane etcd|kube-apiserver|kube-controller-manager|kubectl [argument...]")
		os.Exit(2)
	}
	program()
}

// guard ends the process when its standard input ends. At once and not by a signal: a graceful kube-apiserver waits for
// its open watches, and the data that etcd could still write belongs to nobody any more.
func guard() {
	if os.Getenv("CONTROL_PLANE_GUARD") != "1" {
		return
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
}
