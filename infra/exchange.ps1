#Requires -Version 5.1
<#
.SYNOPSIS
Sets in Exchange Online what Sendoff needs to send from a mailbox, and checks it.

.DESCRIPTION
Changes nothing that is right already, so it can be run again at any time. -WhatIf shows what would be changed.
At the end every point is read anew and printed as "ok" or "not ok"; the exit code is 1 if one is not ok. A
change takes up to an hour until Exchange's SMTP servers act on it.

Who runs it needs the roles "Recipient Management" and, for -AppOnly and -AppRbac, "Organization Management".

.PARAMETER Mailbox
The mailbox that mail is sent from: "mailbox" in mail.toml.

.PARAMETER SignInAs
The account that consents, where it is not the mailbox itself: "sign_in_as" in mail.toml.

.PARAMETER AlsoFrom
Other From addresses: "also_from" in mail.toml.

.PARAMETER AppOnly
Nobody signs in: the application sends by itself, with full access to this one mailbox (grant = "app").

.PARAMETER AppRbac
Nobody signs in: the application may send from the members of the group in -Scope (App RBAC, grant = "app").

.PARAMETER ClientId
The application (client) id.

.PARAMETER EnterpriseObjectId
The object id of the ENTERPRISE application (the service principal). The app registration has another object id
under the same name; with that one, Exchange answers 535 5.7.3 to every sign-in.

.PARAMETER Scope
The group whose direct members the application may send from. It has to exist, with the mailbox in it.

.PARAMETER Connect
Connects to Exchange Online in this cloud first ("cloud" in mail.toml). Without it the open session is used.

.EXAMPLE
./exchange.ps1 -Connect public -Mailbox noreply@contoso.com -WhatIf

.EXAMPLE
./exchange.ps1 -Mailbox reports@contoso.com -SignInAs svc-mail@contoso.com -AlsoFrom billing@contoso.com

.EXAMPLE
./exchange.ps1 -Mailbox noreply@contoso.com -AppRbac -Scope sendoff-mailboxes -ClientId $app -EnterpriseObjectId $sp
#>
[CmdletBinding(SupportsShouldProcess = $true, DefaultParameterSetName = 'Delegated')]
param(
    [Parameter(Mandatory = $true)]
    [ValidatePattern('^[^@\s]+@[^@\s]+\.[^@\s]+$')]
    [string] $Mailbox,

    [Parameter(ParameterSetName = 'Delegated')]
    [ValidatePattern('^[^@\s]+@[^@\s]+\.[^@\s]+$')]
    [string] $SignInAs,

    [ValidatePattern('^[^@\s]+@[^@\s]+\.[^@\s]+$')]
    [string[]] $AlsoFrom = @(),

    [Parameter(Mandatory = $true, ParameterSetName = 'AppOnly')]
    [switch] $AppOnly,

    [Parameter(Mandatory = $true, ParameterSetName = 'AppRbac')]
    [switch] $AppRbac,

    [Parameter(Mandatory = $true, ParameterSetName = 'AppOnly')]
    [Parameter(Mandatory = $true, ParameterSetName = 'AppRbac')]
    [guid] $ClientId,

    [Parameter(Mandatory = $true, ParameterSetName = 'AppOnly')]
    [Parameter(Mandatory = $true, ParameterSetName = 'AppRbac')]
    [guid] $EnterpriseObjectId,

    [Parameter(Mandatory = $true, ParameterSetName = 'AppRbac')]
    [string] $Scope,

    [ValidateSet('public', 'usgov', 'dod', 'china')]
    [string] $Connect
)

Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'

$role = 'Application SMTP.SendAsApp'
$isApp = $AppOnly -or $AppRbac
$notOk = 0

# Each Test- function reads one point anew and says whether it is right.

function Test-SmtpAuth([string] $Account) {
    # Empty means that the mailbox follows the organization, whose switch may be turned off at any time.
    $own = (Get-CASMailbox -Identity $Account).SmtpClientAuthenticationDisabled
    return ($null -ne $own) -and (-not $own)
}

function Test-SendAs([string] $Address, [string] $Trustee) {
    $found = @(Get-RecipientPermission -Identity $Address -Trustee $Trustee -AccessRights SendAs |
            Where-Object { $_.AccessControlType -ne 'Deny' })
    return $found.Count -gt 0
}

function Test-IsSame([string] $Address, [string] $Account) {
    # An alias of the account is the account's own address: nobody needs a right for it.
    $one = (Get-Recipient -Identity $Address).PrimarySmtpAddress
    return "$one" -eq "$((Get-Recipient -Identity $Account).PrimarySmtpAddress)"
}

function Test-Principal([guid] $AppId, [guid] $ObjectId) {
    $found = @(Get-ServicePrincipal | Where-Object { $_.AppId -eq "$AppId" -and $_.ObjectId -eq "$ObjectId" })
    return $found.Count -gt 0
}

function Test-FullAccess([string] $Address, [string] $User) {
    $found = @(Get-MailboxPermission -Identity $Address -User $User |
            Where-Object { $_.AccessRights -like '*FullAccess*' -and -not $_.Deny })
    return $found.Count -gt 0
}

function Test-ScopeExists([string] $Name) {
    return @(Get-ManagementScope | Where-Object { $_.Name -eq $Name }).Count -gt 0
}

function Test-ScopeGroup([string] $Name, [string] $GroupName) {
    $found = @(Get-ManagementScope | Where-Object { $_.Name -eq $Name -and "$($_.RecipientFilter)".Contains($GroupName) })
    return $found.Count -gt 0
}

function Test-Assignment([string] $Name, [string] $ScopeName) {
    $found = @(Get-ManagementRoleAssignment -Role $role |
            Where-Object { $_.Name -eq $Name -and $_.CustomResourceScope -eq $ScopeName })
    return $found.Count -gt 0
}

function Test-InScope([string] $Principal, [string] $Address) {
    $found = @(Test-ServicePrincipalAuthorization -Identity $Principal -Resource $Address |
            Where-Object { $_.RoleName -eq $role -and "$($_.InScope)" -eq 'True' })
    return $found.Count -gt 0
}

function Find-EnterpriseObjectId([guid] $AppId) {
    # Entra knows which object id is the enterprise application's, where this session can ask it at all.
    if (Get-Command -Name 'Get-MgServicePrincipal' -ErrorAction SilentlyContinue) {
        try {
            return "$((Get-MgServicePrincipal -Filter "appId eq '$AppId'").Id)"
        }
        catch {
            Write-Verbose "Microsoft Graph PowerShell gave no answer: $_"
        }
    }
    if (Get-Command -Name 'az' -ErrorAction SilentlyContinue) {
        try {
            return "$(az ad sp show --id "$AppId" --query id --output tsv)"
        }
        catch {
            Write-Verbose "the Azure CLI gave no answer: $_"
        }
    }
    return ''
}

function Write-Point([string] $Name, [bool] $IsRight) {
    if ($IsRight) {
        Write-Output "ok      $Name"
    }
    else {
        $script:notOk += 1
        Write-Output "not ok  $Name"
    }
}

# 1. Connect, where that is asked for.

$environments = @{ public = 'O365Default'; usgov = 'O365USGovGCCHigh'; dod = 'O365USGovDoD'; china = 'O365China' }
if ($Connect) {
    Connect-ExchangeOnline -ExchangeEnvironmentName $environments[$Connect] -ShowBanner:$false
}

# 2. Who signs in, and under which addresses that account sends beside its own.

$account = if ($SignInAs) { $SignInAs } else { $Mailbox }
$others = @()
foreach ($address in @($Mailbox) + $AlsoFrom) {
    if (-not (Test-IsSame $address $account)) {
        $others += $address
    }
}
# Whom Exchange gives the rights to: the account that signs in, or the application.
$trustee = if ($isApp) { "$EnterpriseObjectId" } else { $account }

# 3. The wrong object id is refused where it can be told, before anything is changed.

if ($isApp) {
    if ($EnterpriseObjectId -eq $ClientId) {
        throw "-EnterpriseObjectId is the client id; copy the object id from Entra, Enterprise applications"
    }
    $told = Find-EnterpriseObjectId $ClientId
    if ($told -and $told -ne "$EnterpriseObjectId") {
        throw "-EnterpriseObjectId $EnterpriseObjectId is not the enterprise application's (that is $told); it may be the app registration's"
    }
    $stale = @(Get-ServicePrincipal | Where-Object { $_.AppId -eq "$ClientId" -and $_.ObjectId -ne "$EnterpriseObjectId" })
    if ($stale.Count -gt 0) {
        throw "Exchange knows this client id with the object id $($stale[0].ObjectId). If that is the app registration's: Remove-ServicePrincipal -Identity $($stale[0].ObjectId), then run this again"
    }
}

# 4. SMTP AUTH, which is a switch of its own and stops OAuth too.

if (-not (Test-SmtpAuth $account) -and $PSCmdlet.ShouldProcess($account, 'Switch SMTP AUTH on')) {
    Set-CASMailbox -Identity $account -SmtpClientAuthenticationDisabled $false
}

# 5. The application, known to Exchange by its enterprise object id, and what it may send from.

if ($isApp) {
    if (-not (Test-Principal $ClientId $EnterpriseObjectId) -and
        $PSCmdlet.ShouldProcess("$ClientId", 'Make the application known to Exchange')) {
        New-ServicePrincipal -AppId "$ClientId" -ObjectId "$EnterpriseObjectId" -DisplayName 'Sendoff' | Out-Null
    }
    # Under -WhatIf there may be no principal yet, so nothing can be asked about its rights.
    $known = Test-Principal $ClientId $EnterpriseObjectId
}
if ($AppOnly) {
    if (-not ($known -and (Test-FullAccess $Mailbox $trustee)) -and
        $PSCmdlet.ShouldProcess($Mailbox, 'Give the application full access')) {
        Add-MailboxPermission -Identity $Mailbox -User $trustee -AccessRights FullAccess -AutoMapping $false | Out-Null
    }
}
if ($AppRbac) {
    $scopeName = "Sendoff $ClientId"
    $assignmentName = "Sendoff SMTP $ClientId"
    $group = (Get-DistributionGroup -Identity $Scope).DistinguishedName
    $filter = "MemberOfGroup -eq '$($group -replace "'", "''")'"
    if (-not (Test-ScopeExists $scopeName) -and $PSCmdlet.ShouldProcess($scopeName, 'Make the management scope')) {
        New-ManagementScope -Name $scopeName -RecipientRestrictionFilter $filter | Out-Null
    }
    if ((Test-ScopeExists $scopeName) -and -not (Test-ScopeGroup $scopeName $group) -and
        $PSCmdlet.ShouldProcess($scopeName, "Point the management scope at $Scope")) {
        Set-ManagementScope -Identity $scopeName -RecipientRestrictionFilter $filter
    }
    if (-not (Test-Assignment $assignmentName $scopeName) -and
        $PSCmdlet.ShouldProcess($scopeName, "Assign $role within the scope")) {
        New-ManagementRoleAssignment -Name $assignmentName -Role $role -App $trustee -CustomResourceScope $scopeName | Out-Null
    }
}

# 6. Send As, for each address that is not the account's own.

foreach ($address in $others) {
    if (-not ((-not $isApp -or $known) -and (Test-SendAs $address $trustee)) -and
        $PSCmdlet.ShouldProcess($address, "Let $trustee send as this address")) {
        Add-RecipientPermission -Identity $address -Trustee $trustee -AccessRights SendAs -Confirm:$false | Out-Null
    }
}

# 7. The check: every point, read anew.

Write-Point "SMTP AUTH is on for $account" (Test-SmtpAuth $account)
if ($isApp) {
    $known = Test-Principal $ClientId $EnterpriseObjectId
    Write-Point "Exchange knows the application $ClientId by its enterprise object id" $known
}
if ($AppOnly) {
    Write-Point "the application has full access to $Mailbox" ($known -and (Test-FullAccess $Mailbox $trustee))
    Write-Output 'note    the registration needs the application permission SMTP.SendAsApp of Office 365 Exchange Online, consented to'
}
if ($AppRbac) {
    Write-Point "the management scope is the group $Scope" (Test-ScopeGroup $scopeName $group)
    Write-Point "$role is assigned within the scope" (Test-Assignment $assignmentName $scopeName)
    Write-Point "$Mailbox is in the scope" ($known -and (Test-InScope $trustee $Mailbox))
    Write-Output 'note    App RBAC needs no API permission: remove SMTP.SendAsApp from the registration, if it is there'
}
foreach ($address in $others) {
    Write-Point "$trustee may send as $address" ((-not $isApp -or $known) -and (Test-SendAs $address $trustee))
}
foreach ($address in $AlsoFrom) {
    if ($address -ne $account -and (Test-IsSame $address $account)) {
        # The organization's switch changes what every mailbox sends, so it is nobody's to turn but a person's.
        $allowed = (Get-OrganizationConfig).SendFromAliasEnabled
        Write-Point "the alias $address stays as From (Set-OrganizationConfig -SendFromAliasEnabled `$true)" ([bool] $allowed)
    }
}
if ($notOk -gt 0) {
    Write-Output "$notOk not ok"
    exit 1
}
exit 0
