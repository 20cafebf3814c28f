// serve ADDRESS - accepts twice and prints who came.
package main

import (
	"fmt"
	"net"
	"os"
)

func main() {
	l, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("listening", l.Addr())
	for i := 0; i < 2; i++ {
		c, err := l.Accept()
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println("accepted", c.RemoteAddr(), "at", c.LocalAddr())
		c.Close()
	}
}
