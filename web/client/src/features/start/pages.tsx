import { Button } from '../../ui/Button'
import { StartPage } from './StartPage'

export function Starting() {
  return (
    <p className="only-spoken" role="status">
      Starting
    </p>
  )
}

/** Nobody administers this workspace yet. */
export function SetupNeeded() {
  return (
    <StartPage title="Almost there">
      <p>natterjack runs, and nobody administers it yet. Open the setup link that it printed in the terminal:</p>
      <pre>  setup  http://…/setup?token=…</pre>
      <p>The link is good for one hour. Restart natterjack to get a fresh one.</p>
      <Button look="primary" onClick={() => window.location.reload()}>I have done that</Button>
    </StartPage>
  )
}

/** Browsers keep the cryptography that sign-in needs to pages that came over https or from this machine. */
export function InsecurePage() {
  return (
    <StartPage title="This address is not secure">
      <p>Your browser allows signing in over https, or at http://localhost on the machine itself. Ask whoever runs this workspace for its https address.</p>
    </StartPage>
  )
}

export function StartFailed({ problem }: { problem: string }) {
  return (
    <StartPage title="The workspace can not be reached">
      <p>Either the server is not running or you are offline. Nothing is lost.</p>
      <pre>{problem}</pre>
      <Button look="primary" onClick={() => window.location.reload()}>Try again</Button>
    </StartPage>
  )
}

export function SignInFailed({ problem }: { problem: string }) {
  return (
    <StartPage title="Signing in did not work">
      <p>The server said:</p>
      <pre>{problem}</pre>
      <Button look="primary" onClick={() => window.location.assign('/')}>Sign in again</Button>
    </StartPage>
  )
}

export function SignedOut() {
  return (
    <StartPage title="You have been signed out">
      <p>Your session has ended. What you typed and did not send is kept in this browser.</p>
      <Button look="primary" onClick={() => window.location.reload()}>Sign in again</Button>
    </StartPage>
  )
}
