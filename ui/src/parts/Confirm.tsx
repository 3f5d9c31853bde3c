// Asks once more before something that cannot be taken back.
import { AlertDialog } from 'radix-ui'
import { useWords } from '../i18n'
import { Button } from './controls'

export function Confirm(props: { open: boolean; onOpenChange: (open: boolean) => void; title: string; text: string; yes: string; onYes: () => void }) {
  const { t } = useWords()
  return (
    <AlertDialog.Root open={props.open} onOpenChange={props.onOpenChange}>
      <AlertDialog.Portal>
        <AlertDialog.Overlay className="fixed inset-0 z-30 bg-[rgb(0_0_0/45%)]" />
        <AlertDialog.Content className="fixed inset-x-4 top-[20vh] z-30 mx-auto max-w-md rounded-lg border border-line bg-sheet p-6 shadow-sheet">
          <AlertDialog.Title className="text-lg font-semibold">{props.title}</AlertDialog.Title>
          <AlertDialog.Description className="mt-2 text-sm text-soft">{props.text}</AlertDialog.Description>
          <div className="mt-5 flex justify-end gap-2">
            <AlertDialog.Cancel asChild>
              <Button>{t('cancel')}</Button>
            </AlertDialog.Cancel>
            <AlertDialog.Action asChild onClick={props.onYes}>
              <Button kind="danger">{props.yes}</Button>
            </AlertDialog.Action>
          </div>
        </AlertDialog.Content>
      </AlertDialog.Portal>
    </AlertDialog.Root>
  )
}
