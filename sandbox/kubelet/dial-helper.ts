import {Socket} from 'node:net'

// Runs in the network namespace of one pod: connects to ports there and hands the connected sockets to the sandbox.
interface Request {
  id: number
  port: number
}

function attempt(host: string, port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = new Socket()
    // Paused before it connects: a byte read here would be lost with the hand-over.
    socket.pause()
    socket.once('error', reject)
    socket.connect({host, port}, () => {
      socket.off('error', reject)
      socket.setNoDelay(true)
      resolve(socket)
    })
  })
}

async function dial({id, port}: Request): Promise<void> {
  try {
    const socket = await attempt('127.0.0.1', port).catch(() => attempt('::1', port))
    process.send!({id}, socket, {}, () => {})
  } catch (error) {
    process.send!({id, error: (error as Error).message})
  }
}

process.on('message', (message) => void dial(message as Request))
process.on('disconnect', () => process.exit(0))
process.send!({id: 0})
