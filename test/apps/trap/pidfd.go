// pidfd ADDRESS - finds, signals and awaits a child by its pidfd, as the os package does where the kernel has pidfds; then connects.
package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"
)

func main() {
	child := exec.Command("/bin/sleep", "60")
	if err := child.Start(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	found, err := os.FindProcess(child.Process.Pid)
	fmt.Println("find", err)
	fmt.Println("alive", found.Signal(syscall.Signal(0)))
	fmt.Println("signal", found.Signal(syscall.SIGTERM))
	fmt.Println("wait", child.Wait())
	fmt.Println("gone", found.Signal(syscall.Signal(0)))
	c, err := net.DialTimeout("tcp", os.Args[1], 10*time.Second)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	c.Close()
	fmt.Println("okay")
}
