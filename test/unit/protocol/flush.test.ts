import {afterEach, beforeEach, describe, expect, it, vi} from 'vitest'
import {FlushTimer} from '../../../src/protocol/flush.ts'

const nextTick = () => new Promise<void>((resolve) => process.nextTick(resolve))

function timerOf(policy: 'tick' | 'lead', activeStreams: number) {
  const flush = vi.fn()
  const timer = new FlushTimer(policy, () => {
    timer.flushed()
    flush()
  })
  timer.activeStreams = activeStreams
  return {timer, flush}
}

describe('the flush timer', () => {
  beforeEach(() => void vi.useFakeTimers({toFake: ['setTimeout', 'clearTimeout', 'performance'], now: 1000}))
  afterEach(() => void vi.useRealTimers())

  it('flushes once at the end of the turn, however often it is asked', async () => {
    const {timer, flush} = timerOf('tick', 100)
    timer.schedule()
    timer.schedule()
    expect(flush).not.toHaveBeenCalled()
    await nextTick()
    expect(flush).toHaveBeenCalledTimes(1)
  })

  it('waits 1 ms when more than 4 streams are active and the last flush is recent', async () => {
    vi.advanceTimersByTime(10)
    const {timer, flush} = timerOf('lead', 5)
    timer.schedule()
    await nextTick()
    expect(flush).toHaveBeenCalledTimes(1)
    timer.schedule()
    await nextTick()
    expect(flush).toHaveBeenCalledTimes(1)
    vi.advanceTimersByTime(1)
    expect(flush).toHaveBeenCalledTimes(2)
  })

  it('does not wait with few streams, or when the last flush is long ago', async () => {
    const few = timerOf('lead', 4)
    const idle = timerOf('lead', 5)
    for (const {timer} of [few, idle]) timer.flushed()
    few.timer.schedule()
    await nextTick()
    expect(few.flush).toHaveBeenCalledTimes(1)
    vi.advanceTimersByTime(1)
    idle.timer.schedule()
    await nextTick()
    expect(idle.flush).toHaveBeenCalledTimes(1)
  })

  it('drops a scheduled flush when the owner has flushed by itself', async () => {
    const {timer, flush} = timerOf('tick', 0)
    timer.schedule()
    timer.flushed()
    await nextTick()
    expect(flush).not.toHaveBeenCalled()
  })
})
