# Puts one message on Sendoff's outbox. PowerShell 7, with the module Az.Storage: Install-Module Az.Storage
#
#     $env:AZURE_STORAGE_CONNECTION_STRING = '…'
#     ./send.ps1 ../order-4711.csv

param([Parameter(Mandatory)][string] $File)

$ErrorActionPreference = 'Stop'
$message = @{
    id = 'order-4711-confirmation'
    to = 'Jörg Müller <joerg@example.com>'
    subject = 'Your order 4711'
    text = 'Thank you for your order. It is attached.'
    attachments = @(
        @{
            filename = 'order-4711.csv'
            content_type = 'text/csv'
            content = [Convert]::ToBase64String([IO.File]::ReadAllBytes((Resolve-Path $File)))
        }
    )
}

# With an identity instead of a connection string:
#     Connect-AzAccount
#     New-AzStorageContext -StorageAccountName <account> -UseConnectedAccount
$storage = New-AzStorageContext -ConnectionString $env:AZURE_STORAGE_CONNECTION_STRING
$outbox = (Get-AzStorageQueue -Name outbox -Context $storage).QueueClient

# Without -Depth, ConvertTo-Json flattens what is nested. Without a time to live of -1 second, Azure drops a message
# that nobody took within seven days.
$json = ConvertTo-Json $message -Depth 10 -Compress
$null = $outbox.SendMessage($json, $null, [TimeSpan]::FromSeconds(-1), [Threading.CancellationToken]::None)
