// A library whose Serve listens on a port and answers one connection: Go's runtime comes into a process that runs already.
package main

import "C"

import (
	"fmt"
	"net"
)

//export Serve
func Serve(port C.int) *C.char {
	listener, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", int(port)))
	if err != nil {
		return C.CString(err.Error())
	}
	fmt.Println("listening")
	c, err := listener.Accept()
	if err != nil {
		return C.CString(err.Error())
	}
	fmt.Fprintln(c, "served to", c.RemoteAddr())
	c.Close()
	return C.CString("served")
}

func main() {}
