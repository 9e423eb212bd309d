// Command control-plane is etcd, kube-apiserver, kube-controller-manager and kubectl in one binary, with etcd's tools for
// backups: "etcdutl snapshot restore", and "etcd-snapshot", which is "etcdctl snapshot save" without the rest of etcdctl.
//
// The name it is called by (a link) or else its first argument says which of them it is. One binary, because they
// share most of their code: one link step and 130 MB instead of four and 400.
//
// With CONTROL_PLANE_GUARD=1 a server ends when its standard input does, so that it cannot outlive the process that
// holds the other end of the pipe, however that one ends.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/snapshot"
	"go.etcd.io/etcd/etcdutl/v3/etcdutl"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"go.uber.org/zap"
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
	"etcdutl": func() {
		command := &cobra.Command{Use: "etcdutl"}
		command.PersistentFlags().StringVarP(&etcdutl.OutputFormat, "write-out", "w", "simple", "set the output format")
		command.AddCommand(etcdutl.NewSnapshotCommand())
		command.SetArgs(os.Args[1:])
		if err := command.Execute(); err != nil {
			os.Exit(1)
		}
	},
	"etcd-snapshot": func() {
		if len(os.Args) != 3 {
			fmt.Fprintln(os.Stderr, "usage: etcd-snapshot endpoint file")
			os.Exit(2)
		}
		config := clientv3.Config{Endpoints: []string{os.Args[1]}}
		if _, err := snapshot.SaveWithVersion(context.Background(), zap.NewNop(), config, os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
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
		fmt.Fprintln(os.Stderr, "usage: control-plane etcd|kube-apiserver|kube-controller-manager|kubectl|etcdutl|etcd-snapshot [argument...]")
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
