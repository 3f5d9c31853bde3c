/** Waits until something holds, or says what did not. */
export async function until(what, holds, patience = 60_000) {
  const began = Date.now()
  for (;;) {
    const value = await holds()
    if (value) return value
    if (Date.now() - began > patience) throw new Error(`never: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}
